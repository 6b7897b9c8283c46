"""Firebase Cloud Messaging (HTTP v1): settings, access tokens, requests and what answers mean.

May import the modules of `channels` that do without Django, firebase-admin and `notifier.lib`.
Must not import Django, nor let a device token or a credential into a detail, a log or an error.
"""
