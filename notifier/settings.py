"""Every setting, from the environment alone; docs/settings.md explains them. A bad value stops the start.

Without DATABASE_URL and BROKER_URL this is the local default: SQLite, an in-memory broker, stand-in providers.
"""

import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from apps.notifications.routing.accounts import accounts_in
from notifier.channels.declaration import RetryPolicy
from notifier.channels.registry import CHANNELS, choices
from notifier.configuration.caching import caches
from notifier.configuration.environment import (
    address,
    bounce_address,
    env,
    flag,
    provider_url,
    read,
    retry_policy,
    secret,
    secret_list,
    sender_address,
)
from notifier.configuration.logging import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
"""Where the local default keeps its state."""


# --- Servers ----------------------------------------------------------------------------------------------
DATABASE_URL = read(
    "DATABASE_URL", env.str, "", "postgres://user:password@host:5432/name, or sqlite:///path",
    valid=lambda url: re.match(r"^(postgres(ql)?://|sqlite:///|$)", url) is not None,
)  # fmt: skip
BROKER_URL = read(
    "BROKER_URL", env.str, "memory://", "amqp://user:password@host:5672/vhost",
    valid=lambda url: re.match(r"^(amqps?://|memory://)", url) is not None,
)  # fmt: skip
REDIS_URL = read(
    "REDIS_URL", env.str, "", "redis://host:6379/0",
    valid=lambda url: re.match(r"^(rediss?://|$)", url) is not None,
)  # fmt: skip
ON_POSTGRES = DATABASE_URL.startswith("postgres")
LOCAL = not ON_POSTGRES and BROKER_URL == "memory://"
"""True in the local default only: one process, nothing to install."""
if not LOCAL and BROKER_URL == "memory://":
    raise ImproperlyConfigured(
        "BROKER_URL must be set beside DATABASE_URL: amqp://user:password@host:5672/vhost."
    )

# --- Secrets ----------------------------------------------------------------------------------------------
LOCAL_SECRETS = VAR_DIR / "local-secrets" if LOCAL else None
SECRET_KEY = secret("SECRET_KEY", LOCAL_SECRETS)
JWT_SIGNING_KEY = secret("JWT_SIGNING_KEY", LOCAL_SECRETS)
HASH_KEY = secret("HASH_KEY", LOCAL_SECRETS)
"""Keys the hashes of addresses and tokens. After a change suppressions and devices can't be found any more."""
ENCRYPTION_KEYS = secret_list("ENCRYPTION_KEYS", LOCAL_SECRETS)
"""Encrypt variables, device tokens and callback secrets; new values are encrypted with the first one."""

# --- HTTP -------------------------------------------------------------------------------------------------
DEBUG = flag("DEBUG", False)
ALLOWED_HOSTS = read(
    "ALLOWED_HOSTS", env.list, ["localhost", "127.0.0.1", "[::1]"], "host names, comma-separated"
)
CSRF_TRUSTED_ORIGINS = read("CSRF_TRUSTED_ORIGINS", env.list, [], "origins (https://…), comma-separated")
PUBLIC_URL = read(
    "PUBLIC_URL", env.str, "", "where people reach this service, as https://notify.example.com (http for loopback)",
    valid=lambda url: re.fullmatch(
        r"|(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(/[^\s?#]*)?", url
    ) is not None,
).rstrip("/")  # fmt: skip
"""Begins the links in messages. Empty: messages have no link to the preferences, and no unsubscribe header."""
BODY_LIMIT = 256 * 1024
"""Bytes of a request's body; templates with their contents are the largest legitimate ones."""
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_LIMIT
# No form takes a file: an upload would be written to disk before its sender is authenticated.
DATA_UPLOAD_MAX_NUMBER_FILES = 0
NUM_PROXIES = read(
    "NUM_PROXIES", env.int, 0, "the number of trusted proxies in front", valid=lambda n: n >= 0
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if NUM_PROXIES else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = flag("SECURE_COOKIES", not LOCAL)
SECURE_HSTS_SECONDS = read(
    "HSTS_SECONDS", env.int, 0, "a number of seconds from 0, as 31536000", valid=lambda n: n >= 0
)  # fmt: skip
"""For so long browsers that connected once use TLS alone. Set it once TLS works reliably."""
X_FRAME_OPTIONS = "DENY"
# No page has a script or a handler in it. Styles stay as templates write them; a preview shows an email's pictures.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "https:", "http:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
API_DOCS = flag("API_DOCS", True)
"""Whether the OpenAPI document and its pages are served, without authentication."""
APPEND_SLASH = False
ROOT_URLCONF = "notifier.urls"
WSGI_APPLICATION = "notifier.wsgi.application"

INSTALLED_APPS = [
    # Before apps.admin, which unregisters its admin pages.
    "rest_framework_simplejwt.token_blacklist",
    "apps.users",
    "apps.templates",
    "apps.notifications",
    "apps.admin",
    "apps.admin.apps.SiteConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "notifier.local",
]
MIDDLEWARE = [
    "notifier.http.parsing.WholeBodyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "notifier.http.headers.HeadersMiddleware",
    "notifier.http.metrics.MetricsMiddleware",
    "notifier.http.correlation.CorrelationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "notifier.http.rate_limit.RateLimitMiddleware",
    "notifier.http.pages.PageSession",
    "django.middleware.common.CommonMiddleware",
    "notifier.http.pages.PageForms",
    "notifier.http.pages.PageUser",
    "apps.users.access.tenancy.TenancyMiddleware",
    "notifier.http.pages.PageNotices",
    "notifier.http.pages.PageFrames",
    "notifier.http.pages.PagePolicy",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
# The files are served from the installed packages: there is nothing to collect.
WHITENOISE_USE_FINDERS = True

# --- Database ---------------------------------------------------------------------------------------------
DATABASE_POOL_SIZE = read("DATABASE_POOL_SIZE", env.int, 10, "a whole number from 1", valid=lambda n: n >= 1)
QUERY_TIMEOUT = read(
    "QUERY_TIMEOUT", env.int, 5, "a whole number from 0 to 600", valid=lambda n: 0 <= n <= 600
)
"""Seconds that a query of one of the API's lists may take; any other statement of the API may take three times as
long. 0: no limit."""
if ON_POSTGRES:
    DATABASES: dict[str, dict[str, Any]] = {"default": environ.Env.db_url_config(DATABASE_URL)}
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 2,
        # A lost host or network is noticed in seconds, not after the kernel's default of a quarter of an hour.
        "tcp_user_timeout": 20_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        # Django's default, None, would also disable it for statements that ask for it. Its own are never prepared.
        "prepare_threshold": 5,
        # The URL's own options, such as ?sslmode=require.
        **DATABASES["default"].get("OPTIONS", {}),
        # A 503 at once when the database is unavailable: the pool's own defaults wait for half a minute.
        # A connection keeps its statements' plans. Plans made while a table was nearly empty end with the connection,
        # unless an ANALYZE of the table (by autovacuum, as a rule) has replaced them before.
        "pool": {
            "min_size": 0,
            "max_size": DATABASE_POOL_SIZE,
            "timeout": 1,
            "reconnect_timeout": 2,
            "max_lifetime": 600,
        },
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE_URL.removeprefix("sqlite:///") or str(VAR_DIR / "local.sqlite3"),
            "OPTIONS": {
                # Writers wait at BEGIN instead of failing at their first write.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Cache ------------------------------------------------------------------------------------------------
CACHES = caches(REDIS_URL)

# --- Limits: requests of one caller in any minute, and rows of one organization -----------------------------
# Of an address: requests without a valid key or token, such as sign-ins. A key may have a limit of its own.
# Of a person: ten a second are more than a page needs. Items of batches: at least the largest batch.
RATE_LIMIT_ADDRESS = read("RATE_LIMIT_ADDRESS", env.int, 100, "a whole number from 1", valid=lambda n: n >= 1)
RATE_LIMIT_KEY = read("RATE_LIMIT_KEY", env.int, 6000, "a whole number from 1", valid=lambda n: n >= 1)
RATE_LIMIT_KEY_MOST = read(
    "RATE_LIMIT_KEY_MOST", env.int, 60_000, "a whole number from 1 to 1000000", valid=lambda n: 1 <= n <= 1_000_000
)  # fmt: skip
"""The highest limit that an organization may give to one of its keys; superusers may give more."""
RATE_LIMIT_ORGANIZATION = read(
    "RATE_LIMIT_ORGANIZATION", env.int, 60_000, "a whole number from 1", valid=lambda n: n >= 1
)  # fmt: skip
"""All of an organization's keys and people together, of each API process."""
RATE_LIMIT_PERSON = read("RATE_LIMIT_PERSON", env.int, 600, "a whole number from 1", valid=lambda n: n >= 1)
RATE_LIMIT_ITEMS = read("RATE_LIMIT_ITEMS", env.int, 60_000, "a number from 1000", valid=lambda n: n >= 1000)
# Quotas of rows of one organization: see apps.users.access.quotas.
QUOTA_KEYS = read("QUOTA_KEYS", env.int, 100, "a whole number from 1", valid=lambda n: n >= 1)
QUOTA_TEMPLATES = read("QUOTA_TEMPLATES", env.int, 1000, "a whole number from 1", valid=lambda n: n >= 1)
QUOTA_PARTS = read("QUOTA_PARTS", env.int, 500, "a whole number from 1", valid=lambda n: n >= 1)
QUOTA_CATEGORIES = read("QUOTA_CATEGORIES", env.int, 100, "a whole number from 1", valid=lambda n: n >= 1)
"""A person's preferences show all of them, and one change may contain each."""
QUOTA_DEVICES = read("QUOTA_DEVICES", env.int, 1_000_000, "a whole number from 1", valid=lambda n: n >= 1)
QUOTA_SCHEDULED = read("QUOTA_SCHEDULED", env.int, 1_000_000, "a whole number from 1", valid=lambda n: n >= 1)
DEVICES_A_PERSON = read("DEVICES_A_PERSON", env.int, 20, "a whole number from 1", valid=lambda n: n >= 1)
"""A push goes to each device of a person. One more retires the device that was registered longest ago."""
KEY_LIFETIME_DAYS = read("KEY_LIFETIME_DAYS", env.int, 365, "a whole number from 1", valid=lambda n: n >= 1)
"""The lifetime of a key that is made without an expiry."""
# Sign-ins have tighter limits beside these, in the views. Without Redis those don't apply; these do.
RATELIMIT_FAIL_OPEN = True
RATELIMIT_IP_META_KEY = "notifier.lib.http.client_address.client_address"
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # an address is unique in an organization; EmailBackend handles accounts with the same address
    "django_ratelimit.E003",
    "django_ratelimit.W001",  # the local default is one process, so its local cache is shared
]

# --- People -----------------------------------------------------------------------------------------------
ALLOW_REGISTRATION = flag("ALLOW_REGISTRATION", LOCAL)
"""Whether people may register without an invitation, as members of the default organization."""
AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = ["apps.users.access.authentication.EmailBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.BCryptSHA256PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_RESET_TIMEOUT = 3600
"""Seconds for which a password reset link is valid."""
SESSION_LONGEST = timedelta(days=30)
"""The longest that a session lasts, however often its refresh token is renewed."""
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "CHECK_REVOKE_TOKEN": True,
    "UPDATE_LAST_LOGIN": False,
}

# --- API --------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.users.access.authentication.ApiKeyAuthentication",
        "apps.users.access.authentication.BearerAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "apps.users.access.permissions.HasScope",
        "notifier.lib.fields.query_parameters.KnownParameters",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["apps.users.access.throttling.RequestLimit"],
    "DEFAULT_PARSER_CLASSES": ["notifier.http.parsing.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["notifier.http.envelope.EnvelopeRenderer"],
    "DEFAULT_PAGINATION_CLASS": "notifier.http.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "notifier.openapi.schema.EnvelopeSchema",
    "EXCEPTION_HANDLER": "notifier.http.errors.exception_handler",
    "NUM_PROXIES": NUM_PROXIES,
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Notifier API",
    "DESCRIPTION": "Tell this person this: by email, push and SMS, once each, and never lost.",
    "VERSION": "1",
    # 3.0 can't express "this object, or null".
    "OAS_VERSION": "3.1.0",
    "GET_LIB_DOC_EXCLUDES": "notifier.openapi.schema.bases",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SERVE_PUBLIC": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ChannelEnum": choices(),
        "PartStateEnum": "notifier.http.health.STATES",
    },
}

# --- Broker -----------------------------------------------------------------------------------------------
WORKER_THREADS = read("WORKER_THREADS", env.int, 8, "a whole number from 1", valid=lambda n: n >= 1)
"""Sender threads of a worker process: how many messages it sends at once."""

BULK_HIGH_WATER = read("BULK_HIGH_WATER", env.int, 500_000, "a whole number from 1", valid=lambda n: n >= 1)
"""Past so many due rows of low priority, no more are accepted from an organization that has its share of them; other
organizations' are always accepted."""

# --- Providers --------------------------------------------------------------------------------------------
# EMAIL_PROVIDER_URL, PUSH_PROVIDER_URL: one setting for each channel.
globals().update(
    {
        name: provider_url(name, partial(accounts_in, code))
        for code in CHANNELS
        for name in [f"{code.upper()}_PROVIDER_URL"]
    }
)
EMAIL_FROM = sender_address("EMAIL_FROM", "Notifier <notifier@localhost>")
BOUNCE_ADDRESS = bounce_address("BOUNCE_ADDRESS")
"""Bounces are sent to this address with + and a token in its local part, which may have 64 characters in all."""

# --- Delivery: schedules and limits, all times in seconds ---------------------------------------------------
HOUR = 3600
RETRY_POLICIES: dict[str, RetryPolicy] = {
    code: retry_policy(f"{code.upper()}_RETRY_POLICY", channel.retries) for code, channel in CHANNELS.items()
}
# Outlasts a receiver's outage of a day and of a weekend; each delay has a little jitter on top.
CALLBACK_SCHEDULE: list[int] = read(
    "CALLBACK_SCHEDULE", partial(env.list, cast=int),
    [5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR],
    "delays in seconds between a callback's attempts, comma-separated", valid=lambda delays: min(delays) > 0,
)  # fmt: skip
CALLBACK_ALLOWED_HOSTS: list[str] = read(
    "CALLBACK_ALLOWED_HOSTS", env.list, ["localhost", "127.0.0.1"] if LOCAL else [],
    "host names in lower case, comma-separated", valid=lambda hosts: all(host == host.lower() for host in hosts),
)  # fmt: skip
"""Hosts that callbacks may go to whatever their address is, also without TLS: for development only."""
EVENTS_EXCHANGE = flag("EVENTS_EXCHANGE", False)
"""Whether webhook events also go to the broker's topic exchange `notifications.events`."""
JOURNAL_DIR = VAR_DIR / "journal"
"""Where workers journal the sends that they begin and the replies: a volume, so that it outlives the container."""
JOURNALLED_LEASE_SECONDS = 600
"""How long a worker's claim on deliveries lasts: longer than two minutes to begin them, all phases of a send and the
300 s of the final dot. A dead worker's rows are freed by its journal long before; without one, after this."""
LEASE_SECONDS = 20
"""How long a dead worker's lease on a callback lasts; live workers renew theirs every quarter of it."""
CLAIM_DEADLINE_SECONDS = 480
"""The longest that one callback may take in total."""
CONFIGURATION_PAUSE_SECONDS = 60
"""How long a provider is paused after an error in our own configuration."""

# --- Metrics ----------------------------------------------------------------------------------------------
# The API's /metrics needs the token; METRICS_LISTEN serves the same page without one, to every client.
METRICS_TOKEN = secret("METRICS_TOKEN", None, optional=True)
METRICS_LISTEN = address("METRICS_LISTEN")
# The processes that share the directory are on one page; the local default is one process.
METRICS_DIR = None if LOCAL else VAR_DIR / "metrics"

# --- Log ----------------------------------------------------------------------------------------------------
DJANGO_STRUCTLOG_TRUST_UPSTREAM_CORRELATION_ID = True  # CorrelationMiddleware has validated it by then
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10  # one line for each request is enough: the finished one
LOGGING = logging_config(console=LOCAL)
LOGGING_CONFIG = "logging.config.dictConfig"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# --- What was read ------------------------------------------------------------------------------------------
ENVIRONMENT_VARIABLES = tuple(env.names_read)
"""Every variable above, by its name."""
