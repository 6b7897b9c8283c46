"""Filters that replace the library's where those differ from Liquid's own or cost too much.

May import `values`, `tags.conditions` and the `liquid` package. Must not import the engine or do any I/O; a filter
is a pure function, but for `date`, which reads the clock.
"""
