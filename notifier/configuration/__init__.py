"""How settings come to be: the checked environment, secrets from files, the cache and the log's format and masking.

May import `notifier.lib`.
Must not import the settings, HTTP or the apps: `notifier.settings` is made from it, before any app is loaded.
"""
