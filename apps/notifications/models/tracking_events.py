"""Tracking events of providers: each is stored once, and applied once its delivery is known."""

import uuid6
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from notifier.lib.database.encryption import EncryptedTextField


class ProviderEvent(models.Model):
    """One tracking event of an email service, or one bounce that came by mail.

    It waits while `due_at` is set: its delivery isn't known yet, or its send isn't recorded yet. After that the row
    stays so that the same event, reported again, changes nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    source = models.CharField(max_length=64, help_text="The provider account's name.")
    key = models.CharField(max_length=64, help_text="The same however often the event is told.")
    kind = models.CharField(max_length=16)
    delivery_id = models.UUIDField(null=True, blank=True)
    provider_message_id = models.CharField(max_length=255, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    permanent = models.BooleanField(default=False)
    due_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "key"], name="provider_event_once")]
        indexes = [
            models.Index(fields=["due_at"], condition=~Q(due_at=None), name="provider_event_due"),
            models.Index(fields=["created_at"], name="provider_event_age"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.kind}"


class UnreadEvent(models.Model):
    """One tracking event in a shape that this release doesn't know, stored until a later release can read it.

    The body is the service's own, encrypted since it contains personal data.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        READ = "read", "Read later"
        IGNORED = "ignored", "Ignored"

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    source = models.CharField(max_length=64, help_text="The provider account's name.")
    key = models.CharField(max_length=64, help_text="The same however often the event is told.")
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    body = EncryptedTextField(help_text="As it came, an octet a character.")
    content_type = models.CharField(max_length=200, blank=True)
    event_id = models.CharField(
        max_length=255, blank=True, help_text="What the service calls it, in a header."
    )
    error = models.CharField(db_column="fault", max_length=500, help_text="What was missed in it.")
    times = models.PositiveIntegerField(default=1, help_text="How often it was told.")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["source", "key"], name="unread_event_once")]
        indexes = [models.Index(fields=["source", "id"], condition=Q(state="open"), name="unread_event_open")]

    def __str__(self) -> str:
        return f"{self.source} {self.error}"


class ImapFolder(models.Model):
    """How far an IMAP folder of bounces has been read, in UIDs, which count up while its UIDVALIDITY stays the same.

    Whoever changes it holds its lock, and records what the mail reported in the same transaction. A mail that is
    recorded is then marked or moved at the server, by one reader: who does not say in `FILING_SECONDS` that it is
    done has died.
    """

    FILING_SECONDS = 300
    UNFILED_LIMIT = 1000

    id = models.UUIDField(primary_key=True, default=uuid6.uuid7, editable=False)
    name = models.TextField(unique=True, help_text="user@host:port/folder")
    uid_validity = models.BigIntegerField()
    highest_uid = models.BigIntegerField(
        default=0, help_text="Every mail up to it is done, but the postponed."
    )
    postponed_uids = models.JSONField(
        default=list, help_text="What the server did not give us, longest ago first."
    )
    unfiled = models.JSONField(
        default=dict, help_text="UIDs that are recorded and not yet marked, with Unix times."
    )
    changed_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name

    def begin_anew(self, uid_validity: int) -> None:
        self.uid_validity = uid_validity
        self.highest_uid, self.postponed_uids, self.unfiled = 0, [], {}

    def done(self, uid: int) -> bool:
        return uid <= self.highest_uid and uid not in self.postponed_uids

    def finish(self, uid: int, now: float) -> None:
        """The mail is recorded, and the caller is about to file it."""
        self.highest_uid = max(self.highest_uid, uid)
        self.postponed_uids = [one for one in self.postponed_uids if one != uid]
        # Where a server lets us mark nothing, the oldest stay as they are.
        self.unfiled = dict([*self.unfiled.items(), (str(uid), now)][-self.UNFILED_LIMIT :])

    def postpone(self, uid: int) -> None:
        """Leave the mail for later, so that it blocks no other."""
        self.highest_uid = max(self.highest_uid, uid)
        self.postponed_uids = [*(one for one in self.postponed_uids if one != uid), uid]

    def filed(self, uid: int) -> None:
        self.unfiled.pop(str(uid), None)

    def overdue(self, now: float) -> list[int]:
        """What was recorded by a reader that died, or whose server refused to mark it."""
        return [int(uid) for uid, since in self.unfiled.items() if since < now - self.FILING_SECONDS]
