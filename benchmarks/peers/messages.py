"""The same email as ours, built with Django's classes."""

from typing import Any

from django.core.mail import EmailMultiAlternatives

from benchmarks.world import HTML, TEXT


def filled(source: str, name: str, order: str) -> str:
    """Filled without a template engine, in the peers' favour."""
    return source.replace("{{ name }}", name).replace("{{ order }}", order)


def message(email: str, name: str, order: str, **fields: Any) -> EmailMultiAlternatives:
    made = EmailMultiAlternatives(
        f"Order {order}", filled(TEXT, name, order), "Notifier <notifier@sender.test>", [email], **fields
    )
    made.attach_alternative(filled(HTML, name, order), "text/html")
    return made
