"""Resetting a forgotten password: the request, the mail with its link, the page and the confirmation.

May import `acceptance`, `errors` and other rooms from `scheduler` down, the apps `templates` and `users`.
Must not reveal whether an address has an account, nor log a link or its code.
"""
