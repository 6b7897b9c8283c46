"""The routes of the inbox page, which `notifier.urls` mounts at / in the local default."""

from django.urls import path

from notifier.local import views

urlpatterns = [
    path("", views.page, name="inbox"),
    path("inbox.json", views.caught, name="inbox-caught"),
    path("inbox/<uuid:pk>/timeline.json", views.timeline, name="inbox-timeline"),
]
