"""Reads an IMAP folder of bounces: each mail's event is committed together with how far the folder has been read, and
only then is the mail marked as seen or moved at the server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.db import transaction
from django.db.models.functions import Now

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

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read_new(self) -> Iterator[str]:
        """Read what is new or was postponed, and file what a reader that died has not. Yields the kind of each mail
        that is recorded now (`aside`: it is no bounce of ours). Raises MailboxError and DatabaseError; what was not
        recorded is read the next time, on a new connection."""
        try:
            connection = self._connected()
            uid_validity = connection.select()
            folder = self._folder(uid_validity)
            # A range's end may be below its beginning: the last mail is always found.
            found = connection.search(f"UNDELETED UID {folder.highest_uid + 1}:*")
            for uid in folder.overdue(folder.now.timestamp()):
                self._file_overdue(connection, uid, uid_validity)
            # The postponed come last, since one of them may break the connection again.
            for uid in [*(one for one in found if one > folder.highest_uid), *folder.postponed_uids]:
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
            self._connection = ImapConnection(self._settings)
        return self._connection

    def _folder(self, uid_validity: int) -> Any:
        """How far it has been read: not at all where its UIDs are new ones. What is read again changes nothing, since
        each event is stored once."""
        ImapFolder.objects.get_or_create(name=self._settings.name, defaults={"uid_validity": uid_validity})
        with self._locked() as folder:
            if folder.uid_validity != uid_validity:
                log.warning("imap_folder_read_anew", folder=folder.name)
                folder.begin_anew(uid_validity)
        return folder

    def _read(self, connection: ImapConnection, uid: int, uid_validity: int) -> str:
        """The mail's kind, or nothing where it was recorded before or can't be had."""
        mail = self._called(uid)
        try:
            octets = connection.fetch(uid)
        except MailboxError as error:
            # That one may be what the server fails at, so others come first the next time.
            self._postpone(uid, uid_validity)
            log.error("bounce_not_fetched", mail=mail, reason=str(error))
            if isinstance(error, Refused):
                return ""
            raise
        reading = None if octets is None else bounce_mail.read(octets, mail)
        recorded = self._record(uid, uid_validity, reading)
        if recorded is None:
            return ""
        self._file(connection, uid, uid_validity, recorded)
        return recorded.kind

    def _record(self, uid: int, uid_validity: int, reading: Reading | None) -> Reading | None:
        """What was recorded; None: nothing, since the mail is gone, or another reader has recorded it."""
        with self._locked(uid_validity) as folder:
            if folder.done(uid):
                return None
            recorded = None if reading is None else bounce_mail.record(reading, self._called(uid))
            folder.finish(uid, folder.now.timestamp())
            if recorded is None:
                folder.filed(uid)
        return recorded

    def _postpone(self, uid: int, uid_validity: int) -> None:
        with self._locked(uid_validity) as folder:
            if folder.done(uid):
                return
            if uid not in folder.postponed_uids and len(folder.postponed_uids) >= POSTPONED_LIMIT:
                raise MailboxError(f"the server gives none of {POSTPONED_LIMIT} mails")
            folder.postpone(uid)

    def _file_overdue(self, connection: ImapConnection, uid: int, uid_validity: int) -> None:
        with self._locked(uid_validity) as folder:
            now = folder.now.timestamp()
            if uid not in folder.overdue(now):
                return
            # From now on it is ours to file.
            folder.unfiled[str(uid)] = now
        try:
            octets = connection.fetch(uid)
        except Refused as error:
            log.error("bounce_not_fetched", mail=self._called(uid), reason=str(error))
            return
        if octets is not None:
            self._file(connection, uid, uid_validity, bounce_mail.read(octets, self._called(uid)))
            return
        with self._locked(uid_validity) as folder:
            folder.filed(uid)

    def _file(self, connection: ImapConnection, uid: int, uid_validity: int, reading: Reading) -> None:
        """Put-aside mails stay unread in a folder of their own, for people to look at."""
        try:
            if reading.event is None:
                connection.move(uid, self._settings.aside)
            else:
                connection.mark_seen(uid)
                if self._settings.done:
                    connection.move(uid, self._settings.done)
        except Refused as error:
            log.error("bounce_not_filed", mail=self._called(uid), reason=str(error))
            return
        with self._locked(uid_validity) as folder:
            folder.filed(uid)

    @contextmanager
    def _locked(self, uid_validity: int | None = None) -> Iterator[Any]:
        """The folder's row with the database's time, `now`, to be changed: it is saved at the end."""
        with transaction.atomic():
            rows = ImapFolder.objects.select_for_update().annotate(now=Now())
            folder = rows.get(name=self._settings.name)
            if uid_validity not in (None, folder.uid_validity):
                raise MailboxError("the folder was made anew meanwhile")
            yield folder
            folder.changed_at = folder.now
            folder.save()

    def _called(self, uid: int) -> str:
        """What the log calls the mail."""
        return f"{self._settings.name};UID={uid}"
