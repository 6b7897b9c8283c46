"""The Liquid engine: sandboxed, with limits on what a template may cost.

May import the `liquid` package and `notifier.lib`; it is this app's lowest layer. Must not import Django or do any
I/O: its sources and variables are untrusted.
"""
