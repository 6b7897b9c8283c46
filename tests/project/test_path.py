"""One notification, from the request to the person, with every part real."""

from email import message_from_bytes, policy

from tests.conftest import post, settled, timeline


def test_an_email_and_a_push_arrive(api, user, version, smtp, fcm, worker):
    answer = post(api, user, variables={"name": "Ada & co"})

    assert answer.status_code == 202, answer.json()
    body = answer.json()
    assert body["success"] is True
    assert body["data"]["status"] == "queued"
    assert body["data"]["template"] == {"code": "hello", "version": 1}
    assert answer["Location"] == f"/api/v1/notifications/{body['data']['id']}/"

    email, push = settled("sent")
    (caught,) = smtp.wait_for(1)
    message = message_from_bytes(caught.data, policy=policy.default)
    assert message["Subject"] == "Hello Ada & co"
    assert message["To"] == "ada@example.com"
    assert "<b>Ada &amp; co</b>" in message.get_body(("html",)).get_content()
    assert message.get_body(("plain",)).get_content().strip() == "Hello Ada & co"
    assert message["Message-ID"] == f"<{email.pk}@sender.test>"
    (sent,) = fcm.messages
    assert sent["notification"]["title"] == "Hello Ada & co"
    assert sent["token"] == "ada-phone-token-0001"
    assert sent["data"]["notification_id"] == body["data"]["id"]
    # FCM keeps four messages with a collapse key a device.
    assert "collapse" not in str(sent)
    assert timeline(body["data"]["id"]) == [("accepted", ""), ("sent", ""), ("sent", "")]
    shown = api.get(answer["Location"]).json()["data"]
    assert shown["status"] == "sent"
    assert [row["recipient"] for row in shown["deliveries"]] == ["a***@example.com", "ada-***"]
