"""The management commands of people and keys.

May import every room of this app.
Must not hold rules: a command parses arguments, calls a room and prints.
"""
