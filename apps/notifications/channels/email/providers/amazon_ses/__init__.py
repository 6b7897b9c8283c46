"""Amazon SES: what its API's account needs, how it is sent through, and how its tracking events are read.

May import the rest of `channels`, django-anymail, boto3 and `notifier.lib`.
Must not store anything: the room `anymail` does what all services have in common.
"""
