"""A stand-in for the provider of each channel, in a module of its code: it catches what is sent, for the inbox.

May import the apps, `notifier.channels` and the rest of `notifier.local`.
Must not be used outside the local default: `make run` starts them, tests may.
"""
