"""The password reset mail, sent like every other notification: stored, retried, with a timeline.

Its text is the organization's template `password-reset`, which its administrators may edit; the first reset creates
it in the languages of the page behind the link. Users with more rights than these administrators get a built-in text,
which nobody may edit: whoever writes the mail's template can read its link.
"""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.notifications.acceptance import submission
from apps.notifications.acceptance.request import NotificationRequest
from apps.notifications.errors import Invalid, NotifierError
from apps.notifications.password_reset import links
from apps.notifications.password_reset.email_texts import CONTENTS
from apps.templates.authoring.versions import add_version
from apps.templates.credentials import BUILT_IN_RESET_CODE, RESET_CODE
from apps.templates.models import OnUnknown, Template, TemplateContent, TemplateVersion
from apps.users.access.authentication import Caller
from apps.users.models import Category, Organization, User
from apps.users.preferences.translations import supported_language
from notifier.channels.email import EMAIL
from notifier.lib.redis import sliding_window
from notifier.lib.redis.sliding_window import SECOND

log = structlog.get_logger(__name__)

CALLER = "system:password-reset"
MAILS_A_PERSON, PERIOD_SECONDS = 3, 3600
"""Mails to a person, and in how many seconds, over all requests: nobody may flood a mailbox through this."""
NAMES = {RESET_CODE: "Password reset", BUILT_IN_RESET_CODE: "Password reset (built-in text)"}
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
    """Mail the person a link that sets a new password. If it can't be sent, the reason is only logged: the client
    must not learn whether there is such a person."""
    window = sliding_window.take(
        f"reset:{user.pk}", limit=MAILS_A_PERSON, weight=1, length=PERIOD_SECONDS * SECOND
    )
    if not window.allowed:
        log.warning("password_reset_limited", user_id=str(user.pk))
        return
    link = links.page_for(user)
    # If the organization's template can't be sent the built-in text is, so that nobody is locked out.
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
    """Submit the mail with the template `code`. Raises NotifierError."""
    version = _ensure_template(user.organization, code)
    if version is not None and any(version.pinned.values()):
        # A version of an earlier release: such versions are refused now.
        raise Invalid.at(
            "template_code", "shared_parts", "It uses layouts or partials, which editors may change."
        )
    request = NotificationRequest(
        template_code=code,
        user_id=user.pk,
        channels=(EMAIL.code,),
        variables={"link": link},
        # The built-in text exists in the page's languages: another language must not prevent the mail.
        language=supported_language(user.language, user.organization.default_language)
        if code == BUILT_IN_RESET_CODE
        else "",
        priority=10,
        expires_at=timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
        correlation_id=correlation_id,
    )
    caller = Caller(name=CALLER, organization=user.organization, scopes=frozenset())
    submission.submit(
        caller=caller, submission=submission.Submission(request, submission.body_hash({"link": link}))
    )


def _ensure_template(organization: Organization, code: str) -> TemplateVersion | None:
    """The template's active version, in a category that can't withhold the mail. Creates what is missing."""
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
            built_in = code == BUILT_IN_RESET_CODE and not _has_built_in_text(template.active_version)
            if built_in or not template.versions.exists():
                return add_version(template=template, contents=CONTENTS, variables=VARIABLES, active=True)
    except IntegrityError:
        # A concurrent request has just created it.
        template = templates.select_related("active_version").get()
    return template.active_version


def _has_built_in_text(version: TemplateVersion | None) -> bool:
    """Whether the version's contents are exactly the built-in text."""
    if version is None:
        return False
    expected = {row.language: row.sources() for row in map(TemplateContent.of, CONTENTS)}
    stored = version.contents.all()
    return {row.language: row.sources() for row in stored} == expected and not any(
        row.compiled for row in stored
    )
