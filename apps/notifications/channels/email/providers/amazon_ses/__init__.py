"""Amazon SES: what its API's account needs, and how it is sent through.

May import the rest of `channels`, django-anymail, boto3 and `notifier.lib`.
Must not store anything: the room `anymail` does what all services have in common.
"""
