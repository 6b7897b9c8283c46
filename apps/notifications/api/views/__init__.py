"""The views: each authenticates, validates with a serializer, calls a room below and answers.

May import the API's serializers and queries, and every room below `api`.
Must not decide what happens to a delivery, nor show a caller another organization's rows.
"""
