"""Email, declared."""

from notifier.channels.declaration import Address, Channel, Kind, Part, RetryPolicy
from notifier.lib import email_addresses
from notifier.lib.masking import masked_address

HOUR = 3600

EMAIL = Channel(
    code="email",
    label="Email",
    names={"en": "Email", "fr": "E-mail", "de": "E-Mail", "es": "Correo"},
    address=Address(
        request_field="email",
        noun="email address",
        format="email",
        example="ada@example.com",
        limit=email_addresses.ADDRESS_LIMIT,
        person_column="email",
        readable=True,
        spelled=email_addresses.spelled,
        comparable=email_addresses.comparable,
        former=email_addresses.former_comparables,
        folded=email_addresses.folded,
        masked=masked_address,
    ),
    parts=(
        Part(
            name="subject",
            kind=Kind.LINE,
            label="Subject",
            help_text="One line. {{ name }} is replaced by the person's name.",
        ),
        Part(name="html", kind=Kind.HTML, label="Message, formatted (HTML)", rows=12),
        Part(
            name="text",
            kind=Kind.TEXT,
            label="Message, plain text",
            rows=8,
            help_text="For mail clients that show no formatting. Recommended.",
        ),
        Part(name="source_format", kind=Kind.FORMAT, label="Format of the formatted message"),
        Part(
            name="layout",
            kind=Kind.LAYOUT,
            label="Layout",
            help_text="What surrounds the message: header, footer, colours.",
        ),
    ),
    required=("subject",),
    example={
        "subject": "Order {{ order.number }} is on its way",
        "html": "<p>Hello {{ name }}, order <b>{{ order.number }}</b> is on its way.</p>",
        "text": "Hello {{ name }}, order {{ order.number }} is on its way.",
    },
    one_of=("html", "text"),
    # An address that refuses for a day will not accept; the steps leave a mail server time to recover.
    retries=RetryPolicy(
        steps=(30, 120, 300, 900, 1800, HOUR, 2 * HOUR, 4 * HOUR), repeat_last=True, deadline=24 * HOUR
    ),
)
