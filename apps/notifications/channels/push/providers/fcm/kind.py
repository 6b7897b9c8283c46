"""FCM as a provider: `fcm://`."""

from apps.notifications.channels.provider import ProviderKind
from apps.notifications.channels.push.providers.fcm.provider import FcmProvider
from apps.notifications.channels.push.providers.fcm.settings import FcmSettings

KIND = ProviderKind(name="fcm", schemes=("fcm",), settings_from_url=FcmSettings.from_url, make=FcmProvider)
