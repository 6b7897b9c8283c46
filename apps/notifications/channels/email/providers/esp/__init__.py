"""Email through a service's HTTP API, and the webhook posts by which the service reports back.

May import the rest of `channels`, Django, django-anymail and `notifier.lib`.
Must not store anything or apply a tracking event: it verifies and reads posts, `feedback` does the rest.
"""
