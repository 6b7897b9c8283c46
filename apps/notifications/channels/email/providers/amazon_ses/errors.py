"""The errors of SES's API by the status that they amount to: it answers most of them with a 400."""

import requests

_AMOUNTS_TO = {
    # The account's, whatever the message.
    "AccountSuspendedException": 403,
    "MailFromDomainNotVerifiedException": 403,
    "SendingPausedException": 403,
    # Its rate or its day's quota.
    "LimitExceededException": 429,
    "ThrottlingException": 429,
    "TooManyRequestsException": 429,
}


def status_of(response: requests.Response) -> int:
    """The HTTP status that an answer amounts to. Its header names the error, and may go on with `:` and a URL."""
    if response.status_code != 400:
        return response.status_code
    error = response.headers.get("x-amzn-errortype", "").partition(":")[0]
    if error == "MessageRejected" and b"not verified" in response.content:
        # The sender's address or domain; or the account is still in SES's sandbox, and it is the recipient's.
        return 403
    return _AMOUNTS_TO.get(error, 400)
