"""The admin's management commands.

May import every room of the admin.
Must not hold rules: a command parses arguments, calls a room and prints.
"""
