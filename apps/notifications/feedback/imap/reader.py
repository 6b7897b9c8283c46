"""Reads an IMAP folder of bounces: each mail's event is committed together with how far the folder has been read, and
only then is the mail marked as seen or moved at the server."""

import time
from collections.abc import Iterator

import structlog
from django.db import transaction

from apps.notifications.feedback import bounce_mail
from apps.notifications.feedback.bounce_mail import Reading
from apps.notifications.feedback.imap.connection import ImapConnection, MailboxError, Refused
from apps.notifications.feedback.imap.settings import ImapSettings
from apps.notifications.models import ImapFolder

log = structlog.get_logger(__name__)

CONNECTION_SECONDS = 3600.0
"""A connection is not used for longer: access tokens live that long."""
POSTPONED_LIMIT = 1000


class ImapReader:
    """`pause`: seconds between two readings, and after a first failure."""

    longest_pause = 300.0

    def __init__(self, settings: ImapSettings) -> None:
        self.pause = float(settings.every)
        self._settings = settings
        self._connection: ImapConnection | None = None
        self._filed: set[int] = set()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read_new(self) -> Iterator[str]:
        """Read what is new, or was left unmarked. Yields the kind of each mail that is recorded now (`aside`: it is
        no bounce of ours). Raises MailboxError and DatabaseError; what was not recorded is read the next time, on a
        new connection."""
        try:
            connection = self._connected()
            uid_validity = connection.select()
            folder = self._folder(uid_validity)
            for uid in self._uids(connection, folder):
                if kind := self._read(connection, uid, uid_validity):
                    yield kind
        except GeneratorExit:
            raise
        except BaseException:
            self.close()
            raise

    def _connected(self) -> ImapConnection:
        if self._connection and time.monotonic() - self._connection.opened_at > CONNECTION_SECONDS:
            self.close()
        if self._connection is None:
            self._filed.clear()
            self._connection = ImapConnection(self._settings)
        return self._connection

    @transaction.atomic
    def _folder(self, uid_validity: int) -> ImapFolder:
        """How far it has been read: not at all where its UIDs are new ones. What is read again changes nothing, since
        each event is stored once."""
        folder, _ = ImapFolder.objects.select_for_update().get_or_create(
            name=self._settings.name, defaults={"uid_validity": uid_validity}
        )
        if folder.uid_validity != uid_validity:
            log.warning("imap_folder_read_anew", folder=folder.name)
            folder.uid_validity, folder.highest_uid, folder.postponed_uids = uid_validity, 0, []
            folder.save()
        return folder

    def _uids(self, connection: ImapConnection, folder: ImapFolder) -> list[int]:
        """New ones, recorded ones that were not marked before the reader died, and last the postponed: one of those
        may break the connection again."""
        highest = folder.highest_uid
        # A range's end may be below its beginning: the last mail is always found.
        uids = [uid for uid in connection.search(f"UNDELETED UID {highest + 1}:*") if uid > highest]
        if highest:
            left = "" if self._settings.done else "UNSEEN "
            uids += connection.search(f"{left}UNDELETED UID 1:{highest}")
        postponed: list[int] = folder.postponed_uids
        return [uid for uid in uids if uid not in self._filed and uid not in postponed] + postponed

    def _read(self, connection: ImapConnection, uid: int, uid_validity: int) -> str:
        """The mail's kind, or nothing where it was recorded before or can't be had."""
        mail = f"{self._settings.name};UID={uid}"
        try:
            octets = connection.fetch(uid)
        except MailboxError as error:
            # That one may be what the server fails at, so others come first the next time.
            self._postpone(uid, uid_validity)
            log.error("bounce_not_fetched", mail=mail, reason=str(error))
            if isinstance(error, Refused):
                return ""
            raise
        if octets is None:
            self._record(uid, uid_validity, Reading(None, "gone"), mail)
            return ""
        reading = bounce_mail.read(octets, mail)
        recorded = self._record(uid, uid_validity, reading, mail)
        self._file(connection, uid, recorded or reading, mail)
        return recorded.kind if recorded else ""

    def _record(self, uid: int, uid_validity: int, reading: Reading, mail: str) -> Reading | None:
        """What was recorded; None: another reader, or an earlier life of this one, had done it."""
        with transaction.atomic():
            folder = self._locked(uid_validity)
            if folder.done(uid):
                return None
            recorded = bounce_mail.record(reading, mail)
            folder.finish(uid)
            return recorded

    @transaction.atomic
    def _postpone(self, uid: int, uid_validity: int) -> None:
        folder = self._locked(uid_validity)
        if folder.done(uid):
            return
        if uid not in folder.postponed_uids and len(folder.postponed_uids) >= POSTPONED_LIMIT:
            raise MailboxError(f"the server gives none of {POSTPONED_LIMIT} mails")
        folder.postpone(uid)

    def _locked(self, uid_validity: int) -> ImapFolder:
        folder = ImapFolder.objects.select_for_update().get(name=self._settings.name)
        if folder.uid_validity != uid_validity:
            raise MailboxError("the folder was made anew meanwhile")
        return folder

    def _file(self, connection: ImapConnection, uid: int, reading: Reading, mail: str) -> None:
        """Put-aside mails stay unread in a folder of their own, for people to look at."""
        # Once a connection: a server may refuse it, or forget the mark.
        self._filed.add(uid)
        try:
            if reading.event is None:
                connection.move(uid, self._settings.aside)
                return
            connection.mark_seen(uid)
            if self._settings.done:
                connection.move(uid, self._settings.done)
        except Refused as error:
            log.error("bounce_filed", mail=mail, reason=str(error))
