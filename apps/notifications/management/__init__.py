"""The management commands and what they share: progress, the dead letters' table, running a worker.

May import every room of this app, and the other apps below it.
Must not hold rules: a command parses arguments, calls a room and prints, with `--json` for programs.
"""
