"""What stops the start, and how strict the stand-in is."""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.notifications.providers.fcm import FcmProvider
from apps.notifications.providers.fcm_settings import FcmSettings
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
    ("url", "words"),
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
def test_a_bad_url_is_named(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
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
    ],
)
def test_the_stand_in_is_as_strict_as_fcm(change: dict[str, Any]) -> None:
    message = {"token": "t", "notification": {"title": "x"}}
    assert answers.checked(json.dumps({"message": message}).encode()) == (message, None)
    _, refusal = answers.checked(json.dumps({"message": {**message, **change}}).encode())
    assert refusal is not None
    assert refusal[0] == 400
