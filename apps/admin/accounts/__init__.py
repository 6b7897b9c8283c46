"""Admin pages for organizations, people, API keys, categories and the audit log.

May import `lists`, `apps.users` and other apps' public functions. Must not import the other pages, and must not let
an operator grant more than they have.
"""
