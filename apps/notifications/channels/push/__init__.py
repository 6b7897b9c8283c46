"""Push notifications: the providers that reach devices.

May import the rest of `channels` and `notifier.lib`.
Must not retire a device: an outcome says that its token is gone, and `transitions` acts on it.
"""
