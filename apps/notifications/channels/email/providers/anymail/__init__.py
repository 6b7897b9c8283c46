"""What the services that django-anymail sends for have in common; each service is a folder beside this one.

May import the rest of `channels`, Django, django-anymail and `notifier.lib`.
Must not name a service, store anything or apply a tracking event: it sends, verifies and reads.
"""
