"""The mail of a forgotten password, on the way of every other notification: stored, retried, told of in a timeline.

It says what the organization's template `password-reset` says, which its administrators may change; the first reset
makes one that speaks the languages of the page behind the link.
"""

import hashlib
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.notifications import submission
from apps.notifications.errors import NotifierError
from apps.notifications.requests import NotificationRequest
from apps.notifications.reset_words import CONTENTS
from apps.templates.authoring import add_version
from apps.templates.models import RESET_CODE, OnUnknown, Template
from apps.users import resets, windows
from apps.users.authentication import Caller
from apps.users.channels import Channel
from apps.users.models import Category, Organization, User
from apps.users.windows import SECOND

log = structlog.get_logger(__name__)

CATEGORY = "account"
CALLER = "system:password-reset"
A_PERSON, AN_HOUR = 3, 3600
"""So many mails in so many seconds, whoever asks for them: a mailbox must not be flooded through us."""
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
    window = windows.take(f"reset:{user.pk}", limit=A_PERSON, weight=1, length=AN_HOUR * SECOND)
    if not window.allowed:
        log.warning("password_reset_limited", user_id=str(user.pk))
        return
    link = resets.page_for(user)
    request = NotificationRequest(
        template_code=RESET_CODE,
        user_id=user.pk,
        channels=(Channel.EMAIL,),
        variables={"link": link},
        priority=10,
        expires_at=timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
        correlation_id=correlation_id,
    )
    caller = Caller(name=CALLER, organization=user.organization, scopes=frozenset())
    asked = submission.Asked(request, hashlib.sha256(link.encode()).hexdigest())
    try:
        _ensure_template(user.organization)
        submission.submit(caller=caller, asked=asked)
    except NotifierError as fault:
        log.error("password_reset_not_sent", user_id=str(user.pk), code=fault.code, reason=fault.message)


def _ensure_template(organization: Organization) -> None:
    templates = Template.objects.usable().filter(organization=organization, code=RESET_CODE)
    if templates.exists():
        return
    try:
        with transaction.atomic():
            category, _ = Category.objects.get_or_create(
                organization=organization, code=CATEGORY, defaults={"name": "Account", "mandatory": True}
            )
            template = Template.objects.create(
                organization=organization,
                code=RESET_CODE,
                name="Password reset",
                category=category,
                on_unknown=OnUnknown.RESEND,
            )
            add_version(template=template, contents=CONTENTS, variables=VARIABLES, active=True)
    except IntegrityError:
        # Another request has just made it.
        if not templates.exists():
            raise
