"""The headers of a webhook: signatures by Standard Webhooks, which prove the sender, the time and the body."""

from collections.abc import Iterable

from notifier.lib.http.standard_webhooks import key_of, signature


def headers_for(*, message_id: str, timestamp: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """The headers of one attempt; a signature for each secret, so that a receiver may verify with either."""
    signatures = (
        signature(key_of(secret), message_id=message_id, timestamp=timestamp, body=body) for secret in secrets
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
