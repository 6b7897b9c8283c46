"""The SMTP relay: persistent connections, one recipient a transaction, every wait bounded."""

import ssl
import threading
from contextlib import suppress
from time import monotonic

from apps.notifications.channels.email.mime import Envelope
from apps.notifications.channels.email.providers.smtp.outcomes import Ended, Lost, Phase, describe
from apps.notifications.channels.email.providers.smtp.session import PipelinedNext, Session
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import EmailMessage, MayCommit, Outcome, Result
from notifier.lib.email_addresses import InvalidAddress


class SmtpProvider:
    """Thread-safe. `send` raises ValueError for a message that `build` refuses (a line end in a header, above
    all), and otherwise nothing but what `may_commit` raises."""

    def __init__(self, name: str, settings: SmtpSettings) -> None:
        self.name = name
        self._settings = settings
        self._context = (
            None if settings.tls == "none" else ssl.create_default_context(cafile=settings.ca_file or None)
        )
        self._idle: list[Session] = []
        self._busy: set[Session] = set()
        self._closings = 0
        self._guard = threading.Lock()

    def send(
        self, message: EmailMessage, *, may_commit: MayCommit, pipelined_next: EmailMessage | None = None
    ) -> Outcome:
        deadline = monotonic() + self._settings.before_dot_timeout
        session = self._idle_one(message)
        try:
            try:
                envelope = self._envelope(message, session)
            except InvalidAddress as error:
                return Outcome(
                    Result.PERMANENT, "address_invalid", describe(Phase.MAIL, str(error)), untried=True
                )
            pipelined = self._pipelined_next(pipelined_next)
            if session is not None:
                with suppress(Lost):
                    return session.deliver(envelope, may_commit, deadline, pipelined)
                self._give_back(session)
            session = self._opened(deadline)
            return session.deliver(envelope, may_commit, deadline, pipelined)
        except Ended as ended:
            return ended.outcome
        finally:
            if session is not None:
                self._give_back(session)

    def close(self) -> None:
        """Ends every idle connection with QUIT, all of them within `quit_timeout`; one that another thread is
        sending on is hung up after that message. The provider stays usable."""
        until = monotonic() + self._settings.quit_timeout
        with self._guard:
            self._closings += 1
            idle, self._idle = self._idle, []
            for session in self._busy:
                session.retired = True
        for session in idle:
            session.quit(until)

    def _envelope(self, message: EmailMessage, session: Session | None) -> Envelope:
        if session is not None and session.pipelined is not None:
            return session.pipelined.envelope
        return Envelope.of(message, self._settings.dkim)

    def _pipelined_next(self, pipelined_next: EmailMessage | None) -> PipelinedNext | None:
        if pipelined_next is None:
            return None
        try:
            return PipelinedNext(pipelined_next, Envelope.of(pipelined_next, self._settings.dkim))
        except ValueError:
            # What is wrong with it is said when it is sent.
            return None

    def _idle_one(self, message: EmailMessage) -> Session | None:
        """The connection that waits for this message, else the one used last that waits for none; if the server still
        is at the other end."""
        while True:
            with self._guard:
                free = [
                    one for one in self._idle if one.pipelined is None or one.pipelined.message is message
                ]
                if not free:
                    return None
                session = max(free, key=lambda one: one.pipelined is not None)
                self._idle.remove(session)
                self._busy.add(session)
            if session.usable():
                return session
            session.quit(monotonic() + self._settings.quit_timeout)
            with self._guard:
                self._busy.discard(session)

    def _opened(self, deadline: float) -> Session:
        closings = self._closings
        session = Session(self._settings, self._context, deadline)
        with self._guard:
            self._busy.add(session)
            # Closed while this one was being opened: it serves its message, and is hung up.
            session.retired = closings != self._closings
        return session

    def _give_back(self, session: Session) -> None:
        with self._guard:
            if session not in self._busy:
                return
            self._busy.discard(session)
            worn = [one for one in self._idle if one.worn]
            for one in worn:
                self._idle.remove(one)
            if session.open:
                (worn if session.retired else self._idle).append(session)
        for one in worn:
            one.quit(monotonic() + self._settings.quit_timeout)
