"""What Twilio's answers and reports mean, by its own error codes (https://www.twilio.com/docs/api/errors)."""

from typing import Any

from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.channels.sms.providers.gateway import THROTTLED_SECONDS, detail_of
from notifier.lib.http.client import Answer
from notifier.lib.http.retry_after import retry_after

GONE = {
    21211: "number_invalid",
    21214: "number_invalid",
    21217: "number_invalid",
    21614: "not_mobile",
    # The person has answered STOP to this sender; Twilio takes nothing for them.
    21610: "opted_out",
}
"""Nothing reaches this number from here until something changes that a person does."""
_OURS = {
    20003: "unauthenticated",
    20005: "account_suspended",
    20008: "trial_credentials",
    20404: "not_found",
    21212: "sender_invalid",
    21603: "sender_invalid",
    21606: "sender_invalid",
    21659: "sender_invalid",
    21660: "sender_invalid",
    21661: "sender_invalid",
    21701: "sender_invalid",
    21703: "sender_invalid",
    21705: "sender_invalid",
}
_THROTTLED = frozenset({14107, 20429, 21611, 63038})
DEAD = frozenset({30005, 30006, 30011})
"""Reported later: the number does not exist, can't get texts, or is none of a mobile phone. 30003, a phone that is
off, 30004 and 30007, a block or a filter, say nothing about the number."""


def outcome_of(answer: Answer, body: Any) -> Outcome | None:
    """None where Twilio's own words say nothing."""
    if not isinstance(body, dict):
        return None
    sid, code = body.get("sid"), body.get("code")
    if 200 <= answer.status < 300:
        if not isinstance(sid, str) or not sid:
            return None
        count = body.get("num_segments")
        detail = f"{count} segments" if isinstance(count, str) and count.isdigit() else ""
        return Outcome(Result.SENT, "accepted", detail, provider_message_id=sid[:64])
    if not isinstance(code, int) or not 400 <= answer.status < 500:
        return None
    detail = detail_of(answer)
    if code in GONE:
        return Outcome(Result.PERMANENT, GONE[code], detail, recipient_gone=True)
    if code in _OURS:
        return Outcome(Result.CONFIGURATION, _OURS[code], detail, provider_error=True)
    if code in _THROTTLED:
        wait = retry_after(answer.headers, default=THROTTLED_SECONDS)
        return Outcome(Result.DEFERRED, "throttled", detail, wait=wait)
    return None
