"""SMS: its delivery log, its message, and its providers.

May import the rest of `channels`, and what that may import.
Must not choose a provider or change a delivery.
"""
