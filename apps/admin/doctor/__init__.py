"""The checks of `manage.py doctor`: each is one function that returns findings.

May import every app below the admin and the providers' own sessions. Must not send a message, change any data,
import the admin's pages or print a password.
"""
