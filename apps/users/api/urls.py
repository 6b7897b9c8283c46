"""The routes of the users API, in lists that `notifier.urls` mounts under their prefixes."""

from django.urls import path, register_converter

from apps.users.api.views import accounts, keys, sessions
from apps.users.api.views import audit as audit_views
from apps.users.api.views import categories as category_views
from apps.users.api.views import users as views
from notifier.lib.fields.validation import CATEGORY_PATTERN


class CategoryCode:
    """A category's code in a path; anything else is a 404 before a database sees it."""

    regex = CATEGORY_PATTERN.removeprefix(r"\A").removesuffix(r"\Z")

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(CategoryCode, "category_code")

auth = [
    path("register/", accounts.RegisterView.as_view(), name="register"),
    path("login/", sessions.LoginView.as_view(), name="login"),
    path("refresh/", sessions.RefreshView.as_view(), name="refresh"),
    path("logout/", sessions.LogoutView.as_view(), name="logout"),
    path("me/", accounts.MeView.as_view(), name="me"),
    path("password/", accounts.PasswordView.as_view(), name="password"),
]

users = [
    path("", views.UserListView.as_view(), name="users"),
    # The same sign-in where some clients look for it.
    path("login/", sessions.LoginView.as_view(), name="users-login"),
    # An address may have a slash in it.
    path("email/<path:address>/", views.UserByAddressView.as_view(), name="user-by-email"),
    path("<uuid:pk>/", views.UserDetailView.as_view(), name="user"),
    path("<uuid:pk>/preferences/", views.PreferencesView.as_view(), name="preferences"),
    path("<uuid:pk>/devices/", views.DeviceListView.as_view(), name="devices"),
    path("<uuid:pk>/devices/<uuid:device>/", views.DeviceDetailView.as_view(), name="device"),
]

operator = [
    path("login/", sessions.AdminLoginView.as_view(), name="admin-login"),
    path("api-keys/", keys.KeyListView.as_view(), name="api-keys"),
    path("api-keys/<uuid:api_key>/", keys.KeyDetailView.as_view(), name="api-key"),
    path("api-keys/<uuid:api_key>/rotate/", keys.RotateView.as_view(), name="api-key-rotate"),
    # Everybody, for those who may see everybody: without the scope it is refused, not narrowed to oneself.
    path(
        "users/",
        views.UserListView.as_view(http_method_names=["get", "head", "options"], self_service=()),
        name="admin-users",
    ),
]

audit = [path("", audit_views.AuditListView.as_view(), name="audit")]

categories = [
    path("", category_views.CategoryListView.as_view(), name="categories"),
    path("<category_code:category>/", category_views.CategoryDetailView.as_view(), name="category"),
]
