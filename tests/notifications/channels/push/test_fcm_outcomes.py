import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.notifications.channels.outcome import DETAIL_LIMIT, Outcome, Result
from apps.notifications.channels.push.providers.fcm.outcomes import outcome_of
from notifier.lib.http.retry_after import LONGEST
from notifier.local import fcm_answers as fcm

TOKEN = "dEvIcE-token:APA91bHun4MxP5egoKMwt2KZFBaFUH"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def read(answer: fcm.Answer) -> Outcome:
    status, content, headers = answer
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return outcome_of(status, body, headers, token=TOKEN, now=NOW)


GONE = [fcm.unregistered(), fcm.sender_id_mismatch(), fcm.invalid_token()]


@pytest.mark.parametrize("answer", GONE)
def test_only_fcms_own_error_code_retires_a_token(answer: fcm.Answer) -> None:
    outcome = read(answer)
    assert (outcome.result, outcome.recipient_gone, outcome.provider_error) == (Result.PERMANENT, True, False)


@pytest.mark.parametrize(
    ("answer", "result", "code"),
    [
        ((200, {"name": "projects/p/messages/7"}, {}), Result.SENT, "accepted"),
        (fcm.invalid_argument(field="message.data"), Result.PERMANENT, "invalid_argument"),
        (fcm.invalid_argument(field="message.data.token"), Result.PERMANENT, "invalid_argument"),
        (fcm.invalid_argument("Android message is too big"), Result.PERMANENT, "invalid_argument"),
        (fcm.bare(400), Result.PERMANENT, "invalid_argument"),
        (fcm.bare(413), Result.PERMANENT, "refused"),
        (fcm.unauthenticated(), Result.CONFIGURATION, "unauthenticated"),
        (fcm.third_party_auth(), Result.CONFIGURATION, "third_party_auth"),
        (fcm.third_party_auth("APNS_AUTH_ERROR"), Result.CONFIGURATION, "third_party_auth"),
        (fcm.permission_denied(), Result.CONFIGURATION, "permission_denied"),
        (fcm.bare(401), Result.CONFIGURATION, "unauthenticated"),
        (fcm.bare(403), Result.CONFIGURATION, "permission_denied"),
        (fcm.bare(404), Result.CONFIGURATION, "not_found"),
        (fcm.error(404, "NOT_FOUND", "Requested entity was not found."), Result.CONFIGURATION, "not_found"),
        (fcm.error(404, "UNREGISTERED", "NotRegistered"), Result.CONFIGURATION, "not_found"),
        (fcm.bare(407), Result.CONFIGURATION, "proxy_refused"),
        (fcm.bare(302), Result.CONFIGURATION, "redirected"),
        (fcm.quota(), Result.DEFERRED, "throttled"),
        (fcm.bare(429), Result.DEFERRED, "throttled"),
        (fcm.unavailable(500), Result.RETRY, "server_error"),
        (fcm.bare(502), Result.RETRY, "server_error"),
        (fcm.unavailable(503), Result.RETRY, "server_error"),
        (fcm.bare(504), Result.RETRY, "server_error"),
        (fcm.bare(408), Result.RETRY, "unreadable_answer"),
        (fcm.bare(200), Result.UNKNOWN, "unreadable_answer"),
        ((204, b"", {}), Result.UNKNOWN, "unreadable_answer"),
    ],
)
def test_every_other_answer_keeps_the_token(answer: fcm.Answer, result: Result, code: str) -> None:
    outcome = read(answer)
    assert (outcome.result, outcome.code, outcome.recipient_gone) == (result, code, False)


def test_a_malformed_token_is_known_by_its_message_too() -> None:
    status, body, headers = fcm.invalid_token()
    body["error"]["details"] = body["error"]["details"][:1]
    assert read((status, body, headers)).code == "invalid_token"


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        *(
            ("", 60),
            ("120", 120),
            ("0", 1),
            ("-5", 60),
            ("99999", 3600),
            ("1.5", 60),
            ("²", 60),
            ("soon", 60),
        ),
        *(("9" * 12, 3600), ("9" * 5000, 60), ("Mon, 99 Foo 2026", 60)),
        *(("Sun, 01 Mar 2026 12:02:00 GMT", 120), ("Sun, 01 Mar 2026 11:00:00 GMT", 1)),
        *(("Sun, 01 Mar 2026 12:02:00 -0000", 120), ("Fri, 01 Jan 9999 00:00:00 GMT", 3600)),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(header: str, wait: float) -> None:
    assert read(fcm.quota(header)).wait == wait
    status, body, _ = fcm.quota()
    assert read((status, body, {"retry-after": header})).wait == wait
    assert read(fcm.unavailable(503, header)).wait == max(10, wait if wait != 60 else 10)


def test_the_detail_holds_fcms_message_without_the_token() -> None:
    outcome = read(fcm.invalid_argument(f"Bad token {TOKEN}\n" + "x" * 2000, "message.token"))
    assert outcome.detail.startswith("400 INVALID_ARGUMENT: Bad token dEvIcE… xxx")
    assert len(outcome.detail) == DETAIL_LIMIT
    assert TOKEN not in read((404, f"no {TOKEN} here".encode(), {})).detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "details",
                    "@type",
                    "errorCode",
                    "fieldViolations",
                    "field",
                    "message",
                    "status",
                    "name",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(
    st.integers(0, 999),
    st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()) | st.just(b"[" * 100_000),
    st.dictionaries(st.sampled_from(["Retry-After", "retry-after", "X"]), st.text(max_size=40)),
)
def test_any_answer_has_an_outcome(status: int, body: bytes, headers: dict[str, str]) -> None:
    outcome = outcome_of(status, body, headers, token=TOKEN)
    assert isinstance(outcome, Outcome)
    assert len(outcome.detail) <= DETAIL_LIMIT
    assert outcome.wait is None or 1 <= outcome.wait <= LONGEST
    assert (outcome.result is Result.SENT) == bool(outcome.provider_message_id)


@given(st.integers(400, 599), JSON)
def test_no_shape_of_error_breaks_the_reading(status: int, error: Any) -> None:
    details = [{"@type": fcm.FCM_ERROR, "errorCode": error}, {"fieldViolations": error}, error]
    body = {"error": {"message": error, "status": error, "details": details}}
    assert not read((status, json.dumps(body).encode(), {})).recipient_gone
