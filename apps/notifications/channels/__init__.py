"""How a message leaves through a channel: providers, their outcomes, and what services report afterwards.

May import `observability`, `models` and `errors` of this app, the apps `templates` and `users`, and `notifier.lib`.
Must not import DRF, choose a provider, or change a delivery: a provider returns an `Outcome`, others act on it.
"""
