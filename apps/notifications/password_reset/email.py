"""The mail of a forgotten password, on the way of every other notification: stored, retried, told of in a timeline.

It says what the organization's template `password-reset` says, which its administrators may change; the first reset
makes one that speaks the languages of the page behind the link. Whoever may do more than these administrators gets
built-in words, which nobody may change: who writes the mail can read its link.
"""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.notifications.acceptance import submission
from apps.notifications.acceptance.idempotency import body_hash
from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.errors import Invalid, NotifierError
from apps.notifications.password_reset import links
from apps.notifications.password_reset.email_texts import CONTENTS
from apps.templates.authoring.versions import add_version, sources_of
from apps.templates.credentials import BUILT_IN_RESET_CODE, RESET_CODE
from apps.templates.models import OnUnknown, Template, TemplateContent, TemplateVersion
from apps.users.access.authentication import Caller
from apps.users.channels import Channel
from apps.users.models import Category, Organization, User
from apps.users.preferences.translations import supported_language
from notifier.lib.redis import sliding_window
from notifier.lib.redis.sliding_window import SECOND

log = structlog.get_logger(__name__)

CALLER = "system:password-reset"
A_PERSON, AN_HOUR = 3, 3600
"""So many mails in so many seconds, whoever asks for them: a mailbox must not be flooded through us."""
NAMES = {RESET_CODE: "Password reset", BUILT_IN_RESET_CODE: "Password reset (built-in words)"}
VARIABLES = [
    {
        "name": "link",
        "type": "url",
        "required": True,
        "sensitive": True,
        "description": "Sets a new password.",
    },
]


def send(user: User, *, correlation_id: str) -> None:
    """Mail the person a link that sets a new password. What keeps it from being sent is in the log alone: whoever
    asked must not learn whether there is such a person."""
    window = sliding_window.take(f"reset:{user.pk}", limit=A_PERSON, weight=1, length=AN_HOUR * SECOND)
    if not window.allowed:
        log.warning("password_reset_limited", user_id=str(user.pk))
        return
    link = links.page_for(user)
    # Words that can't be sent cost an organization its words, and nobody their account.
    for code in (
        (BUILT_IN_RESET_CODE,) if user.is_staff or user.is_superuser else (RESET_CODE, BUILT_IN_RESET_CODE)
    ):
        try:
            _submit(user, link, code, correlation_id)
            return
        except NotifierError as error:
            log.error(
                "password_reset_not_sent",
                user_id=str(user.pk),
                template=code,
                code=error.code,
                reason=error.message,
            )


def _submit(user: User, link: str, code: str, correlation_id: str) -> None:
    """Raises NotifierError."""
    version = _ensured(user.organization, code)
    if version is not None and any(version.pinned.values()):
        # Of an earlier release: a version like it is refused now.
        raise Invalid.at(
            "template_code", "shared_parts", "It takes layouts or partials, which editors may change."
        )
    request = NotificationRequest(
        template_code=code,
        user_id=user.pk,
        channels=(Channel.EMAIL,),
        variables={"link": link},
        # Notifier's own words speak the page's languages: one that they don't must not keep the mail back.
        language=supported_language(user.language, user.organization.default_language)
        if code == BUILT_IN_RESET_CODE
        else "",
        priority=10,
        expires_at=timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
        correlation_id=correlation_id,
    )
    caller = Caller(name=CALLER, organization=user.organization, scopes=frozenset())
    submission.submit(caller=caller, asked=submission.Submission(request, body_hash({"link": link})))


def _ensured(organization: Organization, code: str) -> TemplateVersion | None:
    """The version of the template that is in use, once there is one and nothing about it can withhold the mail."""
    templates = Template.objects.usable().filter(organization=organization, code=code)
    try:
        with transaction.atomic():
            category = Category.objects.account(organization)
            template = templates.select_related("active_version").first() or Template.objects.create(
                organization=organization,
                code=code,
                name=NAMES[code],
                category=category,
                on_unknown=OnUnknown.RESEND,
            )
            if template.category_id != category.pk:
                template.category = category
                template.save(update_fields=["category", "updated_at"])
            built_in = code == BUILT_IN_RESET_CODE and not _says(template.active_version)
            if built_in or not template.versions.exists():
                return add_version(template=template, contents=CONTENTS, variables=VARIABLES, active=True)
    except IntegrityError:
        # Another request has just made it.
        template = templates.select_related("active_version").get()
    return template.active_version


def _says(version: TemplateVersion | None) -> bool:
    """Whether the version says the built-in words and nothing else."""
    if version is None:
        return False
    wanted = {row.language: sources_of(row) for row in (TemplateContent(**one) for one in CONTENTS)}
    stored = version.contents.all()
    return {row.language: sources_of(row) for row in stored} == wanted and not any(
        row.compiled for row in stored
    )
