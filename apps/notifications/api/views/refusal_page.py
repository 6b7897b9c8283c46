"""The unsubscribe page for an address that belongs to no user, behind the signed link of a message.

Like a user's preference page: no sign-in, no cookie, no script, and only a POST changes anything (RFC 8058). An
address has no preferences, so it is suppressed for the whole organization; an operator may lift that. Where a user
with this address exists by now, only the message's category is switched off for that user.
"""

import uuid
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Suppression
from apps.users.audit_log import acting
from apps.users.models import Category, Organization, PreferenceSource, User
from apps.users.preferences import links, opt_outs
from apps.users.preferences.links import AddressReach
from apps.users.preferences.preference_page import answer, too_often
from apps.users.preferences.translations import TRANSLATIONS, supported_language
from notifier.channels.email import EMAIL
from notifier.lib.database.tenancy import everywhere

log = structlog.get_logger(__name__)

REASON = "unsubscribed"


# The signed link authenticates the request; a mailbox's unsubscribe button can't send a CSRF token.
@method_decorator(csrf_exempt, name="dispatch")
class RefusalPage(View):
    http_method_names = ["get", "head", "post"]

    reach: AddressReach
    organization: Organization

    @everywhere()
    @acting()
    def dispatch(self, request: HttpRequest, *args: Any, token: str, **kwargs: Any) -> Any:
        reach = links.read_address(token)
        if wait := too_often(request, f"{reach.organization}:{reach.recipient_hash}" if reach else ""):
            return wait
        organization = self._organization(reach.organization) if reach is not None else None
        if reach is None or organization is None:
            return answer(
                "nothing", 404, supported_language(request.headers.get("Accept-Language", "")), reason="gone"
            )
        self.reach, self.organization = reach, organization
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        if self._suppressed().exists():
            return self._page(notice="stopped_all")
        return self._page()

    def post(self, request: HttpRequest) -> HttpResponse:
        if request.POST.get("List-Unsubscribe") != "One-Click":
            return self._page()
        category = self.organization.categories.filter(pk=self.reach.category).first()
        if category is not None and category.mandatory:
            return self._page(notice="mandatory", category=category)
        # The page's own button sends this field; a mailbox's one-click request does not.
        manually = "by_hand" in request.POST
        address = self._address()
        person = self._person(address) if address else None
        if person is not None and category is not None:
            source = PreferenceSource.PAGE if manually else PreferenceSource.ONE_CLICK
            opt_outs.choose(person, {(category.pk, EMAIL.code): False}, source=source)
            log.info("preferences_chosen", user_id=str(person.pk), source=source.value, changes=1)
            return self._page(notice="stopped", category=category)
        row, made = Suppression.objects.get_or_create(
            organization=self.organization,
            channel=EMAIL.code,
            recipient_hash=self.reach.recipient_hash,
            lifted_at=None,
            defaults={"recipient": address, "reason": REASON, "created_by": "recipient"},
        )
        log.info("address_refused", organization=self.organization.slug, suppression=str(row.pk), made=made)
        return self._page(notice="stopped_all")

    def _organization(self, pk: uuid.UUID) -> Organization | None:
        return Organization.objects.filter(pk=pk, is_active=True).first()

    def _suppressed(self) -> Any:
        return Suppression.objects.active().filter(
            organization=self.organization,
            channel=EMAIL.code,
            recipient_hash=self.reach.recipient_hash,
        )

    def _address(self) -> str:
        """The address, while a message to it is stored; the link has only its hash. Empty: not known any more."""
        sent = EmailLog.objects.filter(
            organization=self.organization, recipient_hash=self.reach.recipient_hash
        )
        return sent.exclude(email="").values_list("email", flat=True).first() or ""

    def _person(self, address: str) -> User | None:
        return User.objects.filter(User.at(address), organization=self.organization, erased_at=None).first()

    def _page(self, notice: str = "", category: Category | None = None) -> HttpResponse:
        language = supported_language(
            self.request.headers.get("Accept-Language", ""), self.organization.default_language
        )
        texts, organization = TRANSLATIONS[language], self.organization.name
        fields = {"category": category.name if category else "", "organization": organization}
        return answer(
            "address",
            200,
            language,
            message=texts[notice].format(**fields) if notice else "",
            stop="" if notice else texts["stop_all_what"].format(organization=organization),
        )
