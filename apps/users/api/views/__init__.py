"""The endpoints of the users API: each names the scope of every method, checks its body, and returns data.

May import the serializers beside it and every package below `api`.
Must not build the response envelope or handle errors of its own: `notifier.http` does that for every view.
"""
