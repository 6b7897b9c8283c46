"""The SMTP provider: persistent connections, one recipient a transaction, every wait bounded."""

import ssl
import threading
from contextlib import suppress
from time import monotonic

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.mime import Envelope
from apps.notifications.channels.email.providers.smtp.outcomes import Ended, Lost, Phase, describe
from apps.notifications.channels.email.providers.smtp.session import PipelinedNext, Session
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.outcome import MayCommit, Outcome, Result
from notifier.lib.email_addresses import InvalidAddress


class SmtpProvider:
    """Thread-safe. `send` raises ValueError for a message that `build` refuses (mainly a line end in a header), and
    otherwise only what `may_commit` raises."""

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
        session = self._take_idle(message)
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
                self._release(session)
            session = self._opened(deadline)
            return session.deliver(envelope, may_commit, deadline, pipelined)
        except Ended as ended:
            return ended.outcome
        finally:
            if session is not None:
                self._release(session)

    def close(self) -> None:
        """Ends every idle connection with QUIT, all of them within `quit_timeout`; one that another thread is
        sending on is closed after that message. The provider stays usable."""
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
            # Its own send reports the error.
            return None

    def _take_idle(self, message: EmailMessage) -> Session | None:
        """The session that has this message pipelined, else the last used one without a pipelined message; only one
        whose server is still connected."""
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
            # The provider was closed while this session was being opened: it sends its message, then it is closed.
            session.retired = closings != self._closings
        return session

    def _release(self, session: Session) -> None:
        with self._guard:
            if session not in self._busy:
                return
            self._busy.discard(session)
            expired = [one for one in self._idle if one.expired]
            for one in expired:
                self._idle.remove(one)
            if session.open:
                (expired if session.retired else self._idle).append(session)
        for one in expired:
            one.quit(monotonic() + self._settings.quit_timeout)
