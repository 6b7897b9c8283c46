"""The local default (`make run`): demo data, stand-in providers on loopback, and the page of caught messages.

May import everything else in the project but its URLs and WSGI entry point.
Must not be relied on in production: only `notifier.urls`, where LOCAL, and tests import it.
"""
