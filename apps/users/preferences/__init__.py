"""What a person allows: stored choices, the signed links to them in messages, and the public page behind a link.

May import `access`, `models` and what is below them, and `notifier.lib`.
Must not import the API, nor decide whether a message is sent: `apps.notifications` reads the choices and decides.
"""
