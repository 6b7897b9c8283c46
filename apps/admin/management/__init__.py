"""The admin's management commands."""
