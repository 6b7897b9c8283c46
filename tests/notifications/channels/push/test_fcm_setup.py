"""FCM settings that stop the start, and how strict the FCM stand-in is."""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.notifications.channels.push.providers.fcm.provider import FcmProvider
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings
from notifier.local import fcm_answers as answers


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"type": "service_account"}', "nonsense"])
def test_credentials_that_cannot_be_used_stop_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    for step in ("missing", "bad"):
        if step == "bad":
            path.write_text(content)
        with pytest.raises(ValueError, match=r"bad\.json can't be used"):
            FcmProvider("fcm", FcmSettings("demo-1", str(path)))


def test_settings_from_a_url() -> None:
    assert FcmSettings.from_url("fcm://demo-1/?credentials=/run/a.json") == FcmSettings(
        "demo-1", "/run/a.json"
    )
    url = "fcm://demo-1?credentials=/a.json&base_url=http://127.0.0.1:9099&read_timeout=3.5&pool_size=4"
    assert FcmSettings.from_url(url) == FcmSettings(
        "demo-1", "/a.json", "http://127.0.0.1:9099", read_timeout=3.5, pool_size=4
    )


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://demo/?credentials=/a", "fcm://"),
        ("fcm://[p/?credentials=/a", "fcm://"),
        ("fcm:///?credentials=/a", "project id"),
        ("fcm://a b/?credentials=/a", "project id"),
        ("fcm://p:80/?credentials=/a", "project id"),
        ("fcm://p/x?credentials=/a", "nothing but"),
        ("fcm://p/", "credentials"),
        ("fcm://p/?credentials=", "credentials"),
        ("fcm://p/?credentials=/a&colour=red", "'colour'"),
        ("fcm://p/?credentials=/a&read_timeout=-1", "read_timeout"),
        ("fcm://p/?credentials=/a&connect_timeout=0", "connect_timeout"),
        ("fcm://p/?credentials=/a&pool_size=1.5", "whole"),
        ("fcm://p/?credentials=/a&pool_size=x", "pool_size"),
        ("fcm://p/?credentials=/a&base_url=ftp://x", "base_url"),
        ("fcm://p/?credentials=/a&base_url=http://x/path", "base_url"),
        ("fcm://p/?credentials=/a&base_url=http://x:y", "base_url"),
        ("fcm://p/?credentials=/a&base_url=http://:80", "base_url"),
    ],
)
def test_a_bad_url_is_named(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FcmSettings.from_url(url)


@pytest.mark.parametrize(
    "change",
    [
        {"token": ""},
        {"nonsense": 1},
        {"data": {"a": 1}},
        {"data": {"a": "x" * 5000}},
        {"webpush": {"fcm_options": {"link": "http://x"}}},
        {"android": {"collapseKey": "x"}},
        {"apns": {"headers": {"apns-collapse-id": "x" * 65}}},
        {"data": {"from": "shop"}},
        {"data": {"message_type": "x"}},
        {"data": {"google.x": "x"}},
        {"data": {"gcm.x": "x"}},
        {"data": {"gcm.notification.title": "x"}},
        {"data": {"google.": "x"}},
        {"android": {"data": {"from": "shop"}}},
        {"webpush": {"data": {"gcm.x": "x"}}},
        {"data": {"a": None}},
        {"data": {"a": True}},
        {"data": {"a": {"b": "c"}}},
        {"data": {"a": "é" * 2048}},
        {"android": {"ttl": "3.5"}},
        {"android": {"ttl": "90"}},
        {"android": {"ttl": 90}},
        {"android": {"ttl": "-1s"}},
        {"android": {"ttl": "1m"}},
        {"android": {"ttl": "2419201s"}},
        {"android": {"notification": {"nonsense": 1}}},
        {"android": {"nonsense": 1}},
        {"apns": {"headers": {"apns-expiration": "soon"}}},
        {"webpush": {"headers": {"TTL": "4s"}}},
        {"collapse_key": "x"},
        {"ttl": "3s"},
    ],
)
def test_the_stand_in_is_as_strict_as_fcm(change: dict[str, Any]) -> None:
    message = {"token": "t", "notification": {"title": "x"}}
    assert answers.checked(json.dumps({"message": message}).encode()) == (message, None)
    _, refusal = answers.checked(json.dumps({"message": {**message, **change}}).encode())
    assert refusal is not None
    assert refusal[0] == 400
    assert refusal[1]["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"From": "shop", "fromage": "x", "google": "x", "gcm": "x", "notification": "x"}},
        {"data": {"a": "é" * 2000}},
        {"android": {"ttl": "3.5s"}},
        {"android": {"ttl": "0s", "notification": {"channel_id": "x"}}},
        {"android": {"ttl": "2419200s", "collapse_key": "x"}},
        {"apns": {"headers": {"apns-expiration": "1764460800"}}},
        {"webpush": {"headers": {"TTL": "60"}}},
    ],
)
def test_the_stand_in_takes_what_fcm_takes(change: dict[str, Any]) -> None:
    message = {"token": "t", "notification": {"title": "x"}, **change}
    assert answers.checked(json.dumps({"message": message}).encode()) == (message, None)
