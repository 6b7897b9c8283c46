"""Random JSON bodies: every response has the envelope, and none is a 5xx."""

from json import dumps
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.factories import EMAIL_EN, PUSH_EN
from tests.support.routes import ENVELOPE, refused

JSON = "application/json"
texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from([
        "", " ", "en", "fr-CA", "hello", "email", "push", "UTC", "a@example.com", "{{ name }}", "{{ name.x[0] }}",
        "{% for x in (1..9999999) %}{{ x }}{% endfor %}", "{% assign x = name | split: '' %}{{ x | join: x }}",
        "{{ name | times: 9e99 | round: -1 }}", "{{ name | date: '%Y' }}", "\r\nBcc: a@example.com", "\u202e",
        "\ud800",
        "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "\0", "true", "null", "1",
        "javascript:alert(1)", "https://[::1", "🇫🇷", "İ@example.com", "a@exämple.com", "x" * 300,
    ]),
)  # fmt: skip
numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, -1, 5, 10, 2**31, 2**63, 10**400, 1e308, -0.0])
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def shaped(draw: Any, sound: dict[str, Any], **inner: st.SearchStrategy[Any]) -> Any:
    """A valid body with at most two fields changed, one removed and one added; sometimes any JSON."""
    if draw(st.integers(0, 19)) == 0:
        return draw(values)
    body = dict(sound)
    for name in draw(st.lists(st.sampled_from([*sound, *inner]), max_size=2)):
        body[name] = draw(st.one_of(inner.get(name, values), inner.get(name, scalars), scalars))
    if draw(st.integers(0, 9)) == 0:
        del body[draw(st.sampled_from(list(body)))]
    if draw(st.integers(0, 9)) == 0:
        body[draw(texts)] = draw(values)
    return body


contents = st.lists(
    st.one_of(
        shaped(EMAIL_EN, subject=texts, html=texts, language=texts),
        shaped({**PUSH_EN, "image": "", "link": "", "data": {"a": "b"}}, link=texts, image=texts),
    ),
    max_size=3,
)
templates = shaped(
    {"code": "bye", "name": "Bye", "description": "", "on_unknown": "hold", "contents": [EMAIL_EN, PUSH_EN]},
    contents=contents,
    code=texts,
    name=texts,
    description=texts,
)
people = shaped({"email": "b@example.com", "device_token": "token", "language": "fr", "timezone": "UTC"})
notifications = shaped(
    {
        "recipient": {"email": "b@example.com"},
        "template_code": "hello",
        "channels": ["email"],
        "variables": {"name": "Ada"},
        "language": "en",
        "request_id": "order-1",
        "priority": 5,
        "scheduled_at": "2026-01-01T00:00:00Z",
        "expires_at": "2036-01-01T00:00:00Z",
        "metadata": {"correlation_id": "x"},
    },
    recipient=people,
    notification_type=texts,
    variables=st.fixed_dictionaries({"name": values}),
    language=texts,
    request_id=texts,
    priority=numbers,
    scheduled_at=texts,
    expires_at=texts,
)
bounded = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def sent(api, path: str, body: Any) -> None:
    api.raise_request_exception = False
    with transaction.atomic():
        answer = api.post(f"/api/v1/{path}", dumps(body), content_type=JSON)
        if answer.status_code >= 400:
            assert answer.status_code in (400, 409, 413, 422), (answer.status_code, answer.content)
            refused(answer, answer.status_code)
        else:
            assert answer.status_code in (201, 202)
            assert list(answer.json()) == ENVELOPE
        transaction.set_rollback(True)


@pytest.mark.django_db
class TestAnything:
    @bounded
    @given(body=notifications)
    @example(
        body={"recipient": {"email": "a@exämple.com"}, "template_code": "hello", "variables": {"name": 1}}
    )
    @example(body={"recipient": {"device_token": "x"}, "template_code": "hello", "variables": {"name": [[]]}})
    def test_as_a_notification(self, api, version, body):
        sent(api, "notifications/", body)

    @bounded
    @given(body=templates)
    @example(body={"code": "x", "name": "x", "contents": [{**PUSH_EN, "data": {"from": "{{ x }}"}}]})
    def test_as_a_template(self, api, body):
        sent(api, "templates/", body)

    @bounded
    @given(variables=st.dictionaries(texts, values, max_size=3), source=texts)
    def test_as_a_source_and_its_variables(self, api, variables, source):
        with transaction.atomic():
            body = {"code": "x", "name": "x", "contents": [{**EMAIL_EN, "subject": source, "html": source}]}
            if api.post("/api/v1/templates/", dumps(body), content_type=JSON).status_code == 201:
                preview_body = dumps({"variables": {"name": variables}})
                answer = api.post("/api/v1/templates/x/preview/", preview_body, content_type=JSON)
                assert answer.status_code in (200, 400), answer.content
            transaction.set_rollback(True)
