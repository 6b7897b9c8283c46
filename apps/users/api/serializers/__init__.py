"""The fields of requests and responses of the users API: their shapes, checks and error codes.

May import `access`, `models` and the checked fields of `notifier.lib.fields`.
Must not import the views, nor store rows.
"""
