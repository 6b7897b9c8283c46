"""Email through Amazon SES. django-anymail builds the message, boto3 signs the request and reads the answer."""

import io
from typing import Any

import requests
from anymail.backends.amazon_ses import EmailBackend
from boto3.session import Session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from urllib3 import HTTPResponse

from apps.notifications.channels.email.providers.anymail.provider import AnymailProvider, Exchange
from apps.notifications.channels.email.providers.anymail.settings import AnymailSettings


class _Backend(EmailBackend):  # type: ignore[misc]
    """Has an HTTP session of its own, and shares the client, which must outlive it."""

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(**options)
        self.client = client
        self.session = requests.Session()

    def close(self) -> None:
        self.session.close()


class AmazonSesProvider(AnymailProvider):
    """Threads share one client, which boto3 allows: to make one takes a tenth of a second.

    boto3 never tries again by itself, nor does it send: by its event `before-send` each request is made in the
    thread's session and `Exchange`, as those to every other service are, and fails in the same ways.
    """

    def __init__(self, name: str, settings: AnymailSettings) -> None:
        super().__init__(name, settings)
        session = Session(
            aws_access_key_id=self._options["aws_access_key_id"],
            aws_secret_access_key=self._options["aws_secret_access_key"],
            region_name=self._options["region"],
        )
        self._client = session.client(
            "sesv2",
            endpoint_url=self._options.get("api_url"),
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
        )
        self._client.meta.events.register("before-send.sesv2.SendEmail", self._answer)

    def _opened(self, exchange: Exchange) -> Any:
        return _Backend(self._client, configuration_set_name=self._options.get("configuration_set_name"))

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        # Called in the thread that sends.
        # The signer leaves some of the headers in octets.
        headers = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        response = self._own.exchange.make(
            self._own.backend.session.request,
            request.method,
            request.url,
            data=request.body,
            headers=headers,
            timeout=self._options["timeout"],
        )
        body = HTTPResponse(io.BytesIO(response.content), preload_content=False)
        return AWSResponse(request.url, response.status_code, response.headers, body)
