"""The shapes of requests, responses and query parameters, and the checks of single fields.

May import models, the request types of `acceptance`, and the field types of `notifier.lib` and the other apps.
Must not import views or change the database; what depends on stored rows is checked by the rooms below.
"""
