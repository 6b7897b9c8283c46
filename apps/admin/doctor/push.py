"""FCM: signs in with the provider's own code and sends a `validate_only` request, which delivers nothing."""

import json
from contextlib import suppress
from pathlib import Path

import urllib3
from django.conf import settings

from apps.admin.doctor.findings import Finding, message_of, ok, sandboxed, skipped, warning, wrong
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.channels.push.providers.fcm.auth import AccessTokens, AuthError
from apps.notifications.channels.push.providers.fcm.outcomes import outcome_of
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings
from apps.notifications.channels.sandbox import SANDBOX
from apps.notifications.routing.accounts import Account, configured
from notifier.channels.push import PUSH

TOKEN = "doctor-of-notifier"  # noqa: S105 - not a device's: FCM refuses it, or validates the rest only
BODY = json.dumps({"validate_only": True, "message": {"token": TOKEN, "notification": {"title": "Doctor"}}})
READ_SECONDS = 8.0

_ERRORS = {
    "auth_refused": "Its key may be deleted or disabled, or this machine's clock wrong: create a new key in Google's "
    "console.",
    "auth_unreachable": "Allow connections to oauth2.googleapis.com (443), directly or through the proxy.",
    "unauthenticated": "Google does not accept the service account for this address: check base_url=.",
    "permission_denied": "Use a service account of this project, with the role Firebase Cloud Messaging API Admin, "
    "and enable that API.",
    "not_found": "Correct the project id after fcm://, or base_url=.",
    "redirected": "Correct base_url=, or check the proxy or gateway that redirects.",
    "proxy_refused": "Check the proxy.",
    "server_error": "Wait: FCM itself has an error.",
    "throttled": "Wait: the project has used up its quota.",
}


def accepts() -> list[Finding]:
    try:
        accounts = configured(PUSH.code)
    except ValueError as error:
        return [wrong(f"{message_of(error)}.", "Correct PUSH_PROVIDER_URL, or let this user read the file.")]
    if not accounts and settings.LOCAL:
        return [skipped("PUSH_PROVIDER_URL is not set: `make run` starts its own stand-in for FCM.")]
    if not accounts:
        return [warning("PUSH_PROVIDER_URL is not set: pushes wait.", "Set it, unless no push is sent.")]
    return [finding for account in accounts for finding in _accepts(account)]


def _accepts(account: Account) -> list[Finding]:
    if account.scheme in SANDBOX.schemes:
        return [sandboxed("pushes")]
    try:
        fcm = FcmSettings.from_url(account.url)
        tokens = AccessTokens(fcm.credentials, connect_timeout=fcm.connect_timeout)
    except ValueError as error:
        return [wrong(f"{message_of(error)}.", "Correct PUSH_PROVIDER_URL, or let this user read the file.")]
    try:
        outcome = _validate_only(fcm, tokens.current())
    except AuthError as error:
        return [_refused(f"The FCM service account {fcm.credentials} gets no access token", error.outcome)]
    except urllib3.exceptions.HTTPError as error:
        return [
            wrong(
                f"FCM can't be reached at {fcm.base_url}: {message_of(error)}.",
                "Allow connections to it (443), directly or through the proxy.",
            )
        ]
    finally:
        tokens.close()
    if outcome.result is Result.SENT or outcome.code in ("invalid_token", "unregistered"):
        return [*_doubts(fcm), ok(f"FCM accepts us for the project {fcm.project_id}; nothing was sent.")]
    return [_refused(f"FCM does not accept us for the project {fcm.project_id}{_whose(fcm)}", outcome)]


def _validate_only(fcm: FcmSettings, access: str) -> Outcome:
    timeout = urllib3.Timeout(connect=fcm.connect_timeout, read=min(fcm.read_timeout, READ_SECONDS))
    headers = {"Authorization": f"Bearer {access}", "Content-Type": "application/json"}
    address = f"{fcm.base_url.rstrip('/')}/v1/projects/{fcm.project_id}/messages:send"
    with urllib3.PoolManager(num_pools=1, timeout=timeout, retries=False) as http:
        answer = http.request("POST", address, body=BODY, headers=headers, redirect=False)
        return outcome_of(answer.status, answer.data, answer.headers, token=TOKEN)


def _refused(what: str, outcome: Outcome) -> Finding:
    remedy = _ERRORS.get(outcome.code, "Try again; the setting is PUSH_PROVIDER_URL.")
    return wrong(f"{what} ({outcome.code}): {outcome.detail.rstrip('.')}.", remedy)


def _whose(fcm: FcmSettings) -> str:
    """Names the service account's own project where it differs from the configured one."""
    with suppress(OSError, ValueError, AttributeError):
        own = json.loads(Path(fcm.credentials).read_text()).get("project_id")
        if own and own != fcm.project_id:
            return f", and the service account belongs to the project {own}"
    return ""


def _doubts(fcm: FcmSettings) -> list[Finding]:
    if fcm.pool_size >= settings.WORKER_THREADS:
        return []
    return [
        warning(
            f"FCM's pool_size is {fcm.pool_size}, and a worker has {settings.WORKER_THREADS} threads.",
            "Raise pool_size= in PUSH_PROVIDER_URL: threads without a connection wait.",
        )
    ]
