"""The routes of the notifications API, by the prefix under which the project includes them."""

from django.urls import path, register_converter

from apps.notifications.api.views import batches, notifications, provider_events
from apps.notifications.api.views import dead_letters as operator_views
from apps.notifications.api.views import providers as provider_views
from apps.notifications.api.views import suppressions as suppression_views
from apps.notifications.api.views import webhooks as callbacks
from notifier.channels.registry import CODES


class NotificationKey:
    """A notification's id or request_id in a path."""

    regex = r"[A-Za-z0-9._:-]{1,255}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: object) -> str:
        return str(value)


register_converter(NotificationKey, "notification")

urlpatterns = [
    path("", notifications.NotificationListView.as_view(), name="notifications"),
    path("batch/", batches.BatchView.as_view(), name="batch"),
    *(
        path(
            f"{channel}/", notifications.ChannelView.as_view(channel=channel), name=f"notifications-{channel}"
        )
        for channel in CODES
    ),
    path("<notification:key>/", notifications.NotificationDetailView.as_view(), name="notification"),
    # The same resource where some clients expect it.
    path(
        "<notification:key>/status/",
        notifications.NotificationDetailView.as_view(),
        name="notification-status",
    ),
    path("<notification:key>/events/", notifications.EventListView.as_view(), name="events"),
    path("<notification:key>/cancel/", notifications.CancelView.as_view(), name="cancel"),
]

webhook_endpoints = [
    path("", callbacks.EndpointView.as_view(), name="webhook-endpoint"),
    path("rotate/", callbacks.RotateView.as_view(), name="webhook-rotate"),
    path("test/", callbacks.TestView.as_view(), name="webhook-test"),
    path("replay/", callbacks.CallbackReplayView.as_view(), name="webhook-replay"),
    path("deliveries/", callbacks.AttemptListView.as_view(), name="webhook-deliveries"),
]

dead_letters = [
    path("", operator_views.DeadLetterListView.as_view(), name="dead-letters"),
    path("replay/", operator_views.ReplayView.as_view(), name="dead-letters-replay"),
    path("<uuid:letter>/discard/", operator_views.DiscardView.as_view(), name="dead-letter-discard"),
]

suppressions = [
    path("", suppression_views.SuppressionListView.as_view(), name="suppressions"),
    path("<uuid:suppression>/lift/", suppression_views.LiftView.as_view(), name="suppression-lift"),
]

providers = [
    path("", provider_views.ProviderListView.as_view(), name="providers"),
    path("<slug:provider>/history/", provider_views.ProviderHistoryView.as_view(), name="provider-history"),
    path("<slug:provider>/open/", provider_views.CircuitView.as_view(opens=True), name="provider-open"),
    path("<slug:provider>/close/", provider_views.CircuitView.as_view(), name="provider-close"),
    path("<slug:provider>/events/", provider_events.ServiceEventsView.as_view(), name="provider-events"),
]

receipts = [
    path(f"{channel}/status/", operator_views.ReceiptView.as_view(channel=channel), name=f"{channel}-status")
    for channel in CODES
]
