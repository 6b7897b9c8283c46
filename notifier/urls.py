"""The routes of the API and the pages, by prefix."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from apps.notifications.api import urls as notifications
from apps.notifications.api.views.notifications import NotificationListView
from apps.notifications.api.views.refusal_page import RefusalPage
from apps.notifications.api.views.usage import UsageView
from apps.notifications.password_reset import links as resets
from apps.notifications.password_reset.page import ResetPage
from apps.notifications.password_reset.views import PasswordResetView, ResetConfirmationView
from apps.templates.api import urls as templates
from apps.users.api import urls as users
from apps.users.preferences import links
from apps.users.preferences.preference_page import PreferencePage
from notifier.http import health, metrics
from notifier.openapi.views import SchemaView

v1: list[Any] = [
    path("auth/", include(users.auth)),
    # In the notifications app, because it sends a notification.
    path("auth/password-reset/", PasswordResetView.as_view(), name="password-reset"),
    path("auth/password-reset/confirm/", ResetConfirmationView.as_view(), name="password-reset-confirm"),
    path("users/", include(users.users)),
    path("admin/", include(users.operator)),
    path("categories/", include(users.categories)),
    path("audit/", include(users.audit)),
    path("templates/", include(templates.urlpatterns)),
    # In the notifications app, because it counts notifications.
    path("templates/<template_code:code>/usage/", UsageView.as_view(), name="usage"),
    path("notifications/", include(notifications.urlpatterns)),
    path("notify/", NotificationListView.as_view(http_method_names=["post", "options"]), name="notify"),
    path("dead-letters/", include(notifications.dead_letters)),
    path("webhook-endpoints/", include(notifications.webhook_endpoints)),
    path("suppressions/", include(notifications.suppressions)),
    path("providers/", include(notifications.providers)),
    *notifications.receipts,
    path("health/", health.ReadyView.as_view(), name="health"),
    path("health/live/", health.LiveView.as_view(), name="health-live"),
    path("health/ready/", health.ReadyView.as_view(), name="health-ready"),
]

urlpatterns = [
    path("api/v1/", include(v1)),
    path("admin/", admin.site.urls),
    path(f"{links.PATH}/<str:token>/", PreferencePage.as_view(), name="preference-page"),
    path(f"{links.ADDRESS_PATH}/<str:token>/", RefusalPage.as_view(), name="refusal-page"),
    path(f"{resets.PATH}/<str:code>/", ResetPage.as_view(), name="reset-page"),
    path("metrics", metrics.page, name="metrics"),
]
if settings.API_DOCS:
    urlpatterns += [
        path("api/schema/", SchemaView.as_view(), name="schema"),
        # The split view serves its script at its own URL: the content security policy allows no inline script.
        path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    ]
if settings.LOCAL:
    urlpatterns.append(path("", include("notifier.local.urls")))

handler400 = "notifier.http.errors.bad_request"
handler404 = "notifier.http.errors.not_found"
handler500 = "notifier.http.errors.server_error"
