"""Redis with a local stand-in: Lua scripts that do without Redis while it is away, and sliding windows on them.

May import Django's settings, redis and `notifier.lib`.
Must not import an HTTP framework, nor fail a caller because Redis does.
"""
