"""The page of a person's preferences behind the signed link of a message: no sign-in, no cookie, no script.

Only a POST changes anything: mail scanners open every link that they see. The POST that a mailbox's own button
sends (RFC 8058) ends the emails of the link's category at once.
"""

import uuid
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from apps.users.access import throttling
from apps.users.audit_log import acting
from apps.users.models import Category, PreferenceSource, User
from apps.users.preferences import links, opt_outs
from apps.users.preferences.translations import TRANSLATIONS, supported_language
from notifier.channels.email import EMAIL
from notifier.channels.registry import CHANNELS, CODES
from notifier.lib.database.tenancy import everywhere
from notifier.lib.masking import masked_address
from notifier.lib.redis import sliding_window

log = structlog.get_logger(__name__)

CLICKS_A_MINUTE = 20
"""The limit for the links of one person: each click changes their preferences, and one click is enough."""
REST = "*"
"""The code of the row for everything without a row of its own. No category has this code."""
HEADERS = {
    # The URL of the page is the credential.
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def answer(page: str, status: int, language: str, **context: Any) -> HttpResponse:
    translations = TRANSLATIONS[language]
    shown = render_to_string(
        f"preferences/{page}.html", {"language": language, "text": translations, **context}
    )
    return HttpResponse(shown, status=status, headers=HEADERS)


def too_often(request: HttpRequest, signed_for: str) -> HttpResponse | None:
    """A 429 for a request over its limit, else None. `signed_for`: whose link it is; empty for an invalid link."""
    if signed_for and request.POST.get("List-Unsubscribe") == "One-Click":
        # A mailbox provider's servers send the clicks of very many people: a signed link counts for its person alone.
        name = f"one-click:{signed_for}"
        standing = sliding_window.take(name, limit=CLICKS_A_MINUTE, weight=1, length=throttling.MINUTE)
    else:
        standing = throttling.take_request(request, None)
    if standing.allowed:
        return None
    refusal = answer(
        "nothing", 429, supported_language(request.headers.get("Accept-Language", "")), reason="wait"
    )
    refusal["Retry-After"] = str(throttling.seconds(standing))
    return refusal


# The link authenticates the request; a mailbox's button can't send a CSRF token.
@method_decorator(csrf_exempt, name="dispatch")
class PreferencePage(View):
    http_method_names = ["get", "head", "post"]

    user: User
    category: Category | None

    # The holder of the link acts as its person, whether signed in to the admin or not.
    @everywhere()
    @acting()
    def dispatch(self, request: HttpRequest, *args: Any, token: str, **kwargs: Any) -> Any:
        reach = links.read(token)
        if wait := too_often(request, str(reach.user) if reach is not None else ""):
            return wait
        people = User.objects.select_related("organization").filter(
            organization__is_active=True, erased_at=None
        )
        user = people.filter(pk=reach.user).first() if reach is not None else None
        if reach is None or user is None:
            return answer(
                "nothing", 404, supported_language(request.headers.get("Accept-Language", "")), reason="gone"
            )
        self.user = user
        self.category = user.organization.categories.filter(pk=reach.category or links.NOTHING).first()
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page()

    def post(self, request: HttpRequest) -> HttpResponse:
        if request.POST.get("List-Unsubscribe") == "One-Click":
            # Only the page's own form sends `by_hand`.
            return self._unsubscribe(manually="by_hand" in request.POST)
        return self._choose(_wanted(request))

    def _unsubscribe(self, *, manually: bool) -> HttpResponse:
        if self.category is None or self.category.mandatory:
            return self._page()
        source = PreferenceSource.PAGE if manually else PreferenceSource.ONE_CLICK
        self._store({(self.category.pk, EMAIL.code): False}, source)
        return self._page(message="stopped")

    def _choose(self, wanted: dict[tuple[str, str], bool]) -> HttpResponse:
        codes = {category.code: category for category in self._categories() if not category.mandatory}
        by_category = {
            (codes.get(code), channel): enabled
            for (code, channel), enabled in wanted.items()
            if code == REST or code in codes
        }
        choices = opt_outs.choices_of(self.user)
        self._store(opt_outs.changes_for(choices, by_category, list(codes.values())), PreferenceSource.PAGE)
        return self._page(message="saved")

    def _store(self, changes: dict[tuple[uuid.UUID | None, str], bool], source: PreferenceSource) -> None:
        opt_outs.choose(self.user, changes, source=source)
        log.info("preferences_chosen", user_id=str(self.user.pk), source=source.value, changes=len(changes))

    def _categories(self) -> list[Category]:
        return list(self.user.organization.categories.order_by("name", "code"))

    def _page(self, message: str = "") -> HttpResponse:
        language = supported_language(self.user.language, self.user.organization.default_language)
        translations = TRANSLATIONS[language]
        choices = opt_outs.choices_of(self.user)
        rows: list[dict[str, Any]] = [
            {"code": category.code, "name": category.name, "category": category}
            for category in self._categories()
        ]
        rows.append({"code": REST, "name": translations["rest"], "category": None})
        for row in rows:
            row["cells"] = [
                (
                    channel.code,
                    channel.names[language],
                    opt_outs.allows(choices, channel.code, row["category"]),
                )
                for channel in CHANNELS.values()
            ]
        category_name, stoppable = "", False
        if self.category is not None:
            category_name = self.category.name
            message = "mandatory" if self.category.mandatory else message
            stoppable = not message and opt_outs.allows(choices, EMAIL.code, self.category)
        heading = translations["for"].format(
            organization=self.user.organization.name, address=masked_address(self.user.email)
        )
        return answer(
            "page",
            200,
            language,
            heading=heading,
            message=translations[message].format(category=category_name) if message else "",
            stop=translations["stop_what"].format(category=category_name) if stoppable else "",
            channels=[channel.names[language] for channel in CHANNELS.values()],
            rows=rows,
        )


def _wanted(request: HttpRequest) -> dict[tuple[str, str], bool]:
    """By (row, channel), for the rows that the page showed: a cleared checkbox sends nothing."""
    return {
        (row, channel): f"{row}/{channel}" in request.POST
        for row in request.POST.getlist("row")
        for channel in CODES
    }
