"""Erases a person: personal data is blanked, the record of what happened is kept.

Ids, hashes, statuses, codes and times are kept, so that reconciliation still balances and a suppressed address stays
suppressed. It may be repeated: a later run finishes what an interrupted one left.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

import structlog
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from apps.notifications.channels.logs import DELIVERIES
from apps.notifications.feedback import unread_events
from apps.notifications.models import DeadLetter, Event, Notification, Suppression
from apps.notifications.models.statuses import Status
from apps.notifications.transitions import cancel, dead_letters
from apps.users.audit_log import acting
from apps.users.models import Organization, User
from apps.users.models.scopes import Role
from apps.users.recipient_hashes import hashes_of, recipient_hash
from notifier.channels.registry import PERSON_COLUMNS

log = structlog.get_logger(__name__)

BATCH = 200


@dataclass(slots=True)
class Erasure:
    """One person in one organization: a user, addresses that messages went to, or both.

    `done` counts the rows processed, including those of an earlier run. `sending`: deliveries that were being sent;
    their outcomes may still contain the address, which a later run removes.
    """

    organization: Organization
    user: User | None
    addresses: Collection[str]
    done: Counter[str] = field(default_factory=Counter)
    sending: int = 0
    _seen: set[uuid.UUID] = field(default_factory=set)

    def run(self, *, by: str) -> Iterator[int]:
        """Erase; yields the number of notifications after each batch."""
        their_hashes = self._hashes()
        if self.user is not None:
            # Nothing more is sent from here on.
            User.objects.filter(pk=self.user.pk).update(is_active=False)
        yield from self._notifications(their_hashes, by)
        self._elsewhere(their_hashes, by)
        self._suppressions(their_hashes, by)
        for address in self.addresses:
            self.done["unread events"] += unread_events.forget(address, by=by)
        if self.user is not None:
            self._account(self.user, by)
        # Notifications that were accepted meanwhile.
        yield from self._notifications(their_hashes, by)
        log.info(
            "person_erased",
            user_id=str(self.user.pk) if self.user is not None else None,
            organization=self.organization.slug,
            by=by,
            sending=self.sending,
            **self.done,
        )

    def notifications(self) -> set[uuid.UUID]:
        """Ids of notifications to the person, and of those to their address or devices that name no user."""
        return self._to(self._hashes())

    def _hashes(self) -> list[str]:
        found = [hashed for address in self.addresses for hashed in hashes_of(address)]
        if self.user is not None:
            found += self.user.devices.values_list("token_hash", flat=True)
        return found

    def _shared(self) -> set[str]:
        """The hashes of their addresses that somebody else has, too: messages to those are not theirs alone."""
        others = User.objects.filter(organization=self.organization, erased_at=None)
        others = others.exclude(pk=self.user.pk) if self.user is not None else others
        return {
            recipient_hash(code, address)
            for address in self.addresses
            for code in PERSON_COLUMNS
            if others.filter(User.reached_at(code, address)).exists()
        }

    def _to(self, hashes: Collection[str]) -> set[uuid.UUID]:
        of = Notification.objects.filter(organization=self.organization)
        found = (
            set(of.filter(user=self.user).values_list("pk", flat=True)) if self.user is not None else set()
        )
        for rows in self._deliveries(recipient_hash__in=hashes, notification__user=None):
            found.update(rows.values_list("notification_id", flat=True))
        return found

    def _deliveries(self, **filters: Any) -> Iterator[QuerySet[Any]]:
        for model in DELIVERIES.values():
            # Without the recipient's column: one that no key can decrypt must be erasable, too.
            yield model.objects.filter(organization=self.organization, **filters).defer(*model.ERASED)

    def _notifications(self, hashes: Collection[str], by: str) -> Iterator[int]:
        left = sorted(self._to(hashes) - self._seen)
        for begin in range(0, len(left), BATCH):
            batch = left[begin : begin + BATCH]
            with transaction.atomic():
                Notification.objects.filter(pk__in=batch).update(variables={}, metadata={})
                for rows in self._deliveries(notification__in=batch):
                    self._blank(rows, by)
                _blank_events(Event.objects.filter(notification__in=batch))
            self._seen.update(batch)
            self.done["notifications"] += len(batch)
            yield len(batch)

    def _elsewhere(self, hashes: Collection[str], by: str) -> None:
        """Blank deliveries to their address or devices in other users' notifications."""
        for rows in self._deliveries(recipient_hash__in=set(hashes) - self._shared()):
            others = rows.exclude(notification__user=None).exclude(notification__user=self.user)
            ids = sorted(others.values_list("pk", flat=True))
            for begin in range(0, len(ids), BATCH):
                batch = ids[begin : begin + BATCH]
                with transaction.atomic():
                    self._blank(rows.filter(pk__in=batch), by)
                    _blank_events(Event.objects.filter(delivery_id__in=batch))

    def _blank(self, rows: QuerySet[Any], by: str) -> None:
        found = list(rows.select_for_update())
        waiting = [row for row in found if row.status == Status.QUEUED]
        cancel.take_back(waiting, by=by)
        rows.update(error_detail="", **rows.model.ERASED)
        theirs = DeadLetter.objects.filter(delivery_id__in=[row.pk for row in found])
        theirs.update(detail="")
        # A replay would have no recipient any more.
        dead_letters.close(theirs, DeadLetter.State.DISCARDED, by=by)
        self.done.update(deliveries=len(found), cancelled=len(waiting))
        self.sending += sum(row.status == Status.SENDING for row in found)

    def _suppressions(self, hashes: Collection[str], by: str) -> None:
        known = set(hashes)
        if self.user is not None:
            # Former addresses too.
            for rows in self._deliveries(notification__user=self.user):
                known.update(rows.order_by().values_list("recipient_hash", flat=True).distinct())
        suppressed = Suppression.objects.filter(organization=self.organization, recipient_hash__in=known)
        with acting(by[:64]):
            self.done["suppressions"] += suppressed.update(recipient="", detail="")

    def _account(self, user: User, by: str) -> None:
        with acting(by[:64]), transaction.atomic():
            self.done["devices"] += user.devices.all().delete()[0]
            user.preferences.all().delete()
            OutstandingToken.objects.filter(user=user).delete()
            user.groups.clear()
            user.user_permissions.clear()
            LogEntry.objects.filter(
                content_type__app_label="users", content_type__model="user", object_id=str(user.pk)
            ).update(object_repr="erased")
            blank = User(pk=user.pk, organization=user.organization, created_at=user.created_at)
            blank.email = f"{user.pk.hex}@erased.invalid"
            blank.is_active = False
            blank.role = Role.MEMBER
            blank.erased_at = user.erased_at or timezone.now()
            blank.set_unusable_password()
            blank._state.adding = False
            blank.save()


def _blank_events(events: QuerySet[Event]) -> None:
    """Remove details and masked recipients from timeline entries; their codes stay."""
    changed = []
    for event in events:
        data = {key: value for key, value in event.data.items() if key not in ("detail", "recipient")}
        if "decisions" in data:
            data["decisions"] = [
                {key: value for key, value in decision.items() if key != "recipient"}
                for decision in data["decisions"]
            ]
        if data != event.data:
            event.data = data
            changed.append(event)
    Event.objects.bulk_update(changed, ["data"], batch_size=BATCH)


def known_by(who: str, organization: Organization | None = None) -> list[Erasure]:
    """Whom a user id, an email address or a phone number names, once for each person and organization."""
    try:
        people = User.objects.filter(pk=uuid.UUID(who))
    except ValueError:
        people = User.objects.filter(reduce(or_, (User.reached_at(code, who) for code in PERSON_COLUMNS)))
        hashes = hashes_of(who)
        known = Q(pk__in=Suppression.objects.filter(recipient_hash__in=hashes).values("organization"))
        for model in DELIVERIES.values():
            sent = (
                model.objects.filter(recipient_hash__in=hashes).order_by().values("organization").distinct()
            )
            known |= Q(pk__in=sent)
        places = Organization.objects.filter(known)
    else:
        places = Organization.objects.none()
    people, places = people.select_related("organization"), places.order_by("slug")
    if organization is not None:
        people, places = people.filter(organization=organization), places.filter(pk=organization.pk)
    found = [Erasure(person.organization, person, _addresses(person)) for person in people]
    here = {one.organization for one in found}
    return found + [Erasure(place, None, [who]) for place in places if place not in here]


def _addresses(person: User) -> list[str]:
    if person.erased_at:
        return []
    return [address for column in PERSON_COLUMNS.values() if (address := getattr(person, column))]
