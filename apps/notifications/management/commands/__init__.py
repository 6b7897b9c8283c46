"""One module a management command; Django finds them by their file names.

May import what `management` may.
Must not import one another, nor write anything but JSON to standard output under `--json`.
"""
