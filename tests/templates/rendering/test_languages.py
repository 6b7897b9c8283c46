"""The language of a message: the exact one, its base, the organization's default, the only one, or none."""

import pytest

from apps.notifications.channels.email.log import EmailLog
from tests.conftest import post
from tests.support.factories import EMAIL_EN, template_with
from tests.support.routes import refused

CASES = [
    # what there is, the organization's default, what is wanted, what is found
    ("en fr fr-CA", "en", "fr-CA", "fr-CA"),
    ("en fr FR-ca", "en", "Fr-cA", "FR-ca"),
    ("en fr fr-CA", "en", "fr-BE", "fr"),
    ("en zh-Hant zh", "en", "zh-Hant-TW", "zh-Hant"),
    ("en zh", "en", "zh-Hant-TW", "zh"),
    # A regional text doesn't serve the plain language.
    ("en fr-CA", "en", "fr", "en"),
    ("en fr-CA", "en", "fr-BE", "en"),
    ("en de", "en", "it", "en"),
    ("en de", "DE", "it", "de"),
    ("en de", "de-CH", "it", "de"),
    ("en de-CH", "de-CH", "it", "de-CH"),
    ("fr", "en", "it", "fr"),
    ("fr-CA", "en", "it", "fr-CA"),
    ("fr de", "en", "it", None),
    ("fr-CA fr-BE", "en", "fr", None),
]


@pytest.mark.parametrize(("there", "default", "wanted", "found"), CASES)
@pytest.mark.parametrize("by", ["request", "person"])
def test_the_language_of_a_notification(
    by, there, default, wanted, found, api, user, organization, unpublished
):
    organization.default_language = default
    organization.save()
    template_with(organization, *({**EMAIL_EN, "language": tag} for tag in there.split()))
    body = {"language": wanted}
    if by == "person":
        user.language, body = wanted, {}
        user.save()

    answer = post(api, user, **body)

    if found is None:
        (entry,) = refused(answer, 400, "validation_error")["errors"]
        assert (entry["field"], entry["code"]) == ("language", "no_content")
        assert wanted in entry["detail"]
        assert default in entry["detail"]
    else:
        assert answer.status_code == 202, answer.content
        assert EmailLog.objects.get().language == found


def test_the_requests_language_wins_over_the_persons(api, user, organization, unpublished):
    user.language = "de"
    user.save()
    template_with(organization, *({**EMAIL_EN, "language": tag} for tag in ("en", "de", "fr")))
    for body, found in (({"language": "fr"}, "fr"), ({}, "de")):
        post(api, user, **body)
        assert EmailLog.objects.order_by("-id").first().language == found
