"""The name of each operation in the OpenAPI document, which generated clients use for their functions.

And its description, where the view's docstring is about several methods at once.
"""

from typing import NamedTuple

from notifier.channels.registry import CODES


class Operation(NamedTuple):
    id: str
    description: str = ""
    """Empty: the view's docstring."""
    also: tuple[int, ...] = ()
    """Error statuses beyond those that every operation of its kind has."""


_REPEATED = (422,)
"""The Idempotency-Key or the request_id was used with another body before."""
_SIGN_IN = (401,)

OPERATIONS: dict[str, Operation] = {
    "POST auth/register/": Operation("register", also=(403, 409)),
    "POST auth/login/": Operation("login", also=_SIGN_IN),
    "POST users/login/": Operation("login_as_user", "The same as POST auth/login/.", _SIGN_IN),
    "POST auth/refresh/": Operation("refresh_session", also=_SIGN_IN),
    "POST auth/logout/": Operation("logout", also=_SIGN_IN),
    "GET auth/me/": Operation("get_me"),
    "POST auth/password/": Operation("change_password"),
    "POST auth/password-reset/": Operation("ask_for_password_reset"),
    "POST auth/password-reset/confirm/": Operation("confirm_password_reset"),
    "POST admin/login/": Operation("login_as_operator", also=_SIGN_IN),
    "GET admin/api-keys/": Operation("list_api_keys", "The organization's keys, the ended ones too."),
    "POST admin/api-keys/": Operation("create_api_key", "Make a key. Only this response shows it."),
    "GET admin/api-keys/{api_key}/": Operation("get_api_key", "One key, without its secret."),
    "PATCH admin/api-keys/{api_key}/": Operation(
        "update_api_key", "Change a key's name or limit; its permissions never change."
    ),
    "DELETE admin/api-keys/{api_key}/": Operation(
        "revoke_api_key",
        "Revoke a key at once. Its row stays, because what it did stays attributed to it.",
    ),
    "POST admin/api-keys/{api_key}/rotate/": Operation("rotate_api_key"),
    "GET admin/users/": Operation(
        "list_all_users", "The organization's people, for those who may see all of them."
    ),
    "GET audit/": Operation("list_audit_entries"),
    "GET categories/": Operation("list_categories", "The organization's categories."),
    "POST categories/": Operation("create_category", "Add a category."),
    "GET categories/{category}/": Operation("get_category", "One category."),
    "PATCH categories/{category}/": Operation("update_category", "Change a category; its code stays."),
    "DELETE categories/{category}/": Operation(
        "delete_category",
        "Delete a category and people's choices about it. While templates are in it, it is a 409.",
    ),
    "GET users/": Operation(
        "list_users", "The organization's people; without the scope users:read, only the caller."
    ),
    "POST users/": Operation("create_user", "Add a person."),
    "GET users/{id}/": Operation("get_user", "One person."),
    "GET users/email/{address}/": Operation("get_user_by_email"),
    "PATCH users/{id}/": Operation(
        "update_user",
        "Change a person. Everybody may change their own name, language, time zone and quiet hours.",
    ),
    "DELETE users/{id}/": Operation("delete_user", "Delete a person. The delivery logs stay, without them."),
    "GET users/{id}/preferences/": Operation("get_preferences"),
    "PATCH users/{id}/preferences/": Operation(
        "update_preferences", "Change which channels a person allows. What is left out stays as it is."
    ),
    "GET users/{id}/devices/": Operation("list_devices", "A person's devices."),
    "POST users/{id}/devices/": Operation(
        "register_device",
        "Register a device. A token that was registered before moves to this person and is revived: a 200. Past the "
        "number of devices that a person may have, the one that was silent for longest is retired.",
    ),
    "GET users/{id}/devices/{device}/": Operation("get_device", "One device of a person."),
    "PATCH users/{id}/devices/{device}/": Operation(
        "update_device",
        "Change a device. A token that another device held moves here; a new token revives it.",
    ),
    "DELETE users/{id}/devices/{device}/": Operation("delete_device", "Forget a device."),
    "GET templates/": Operation("list_templates", "The organization's templates."),
    "POST templates/": Operation(
        "create_template", "Add a template; with `contents`, its first version too, active at once."
    ),
    "GET templates/{code}/": Operation("get_template", "One template."),
    "PATCH templates/{code}/": Operation(
        "update_template", "Change a template; its contents change by new versions."
    ),
    "DELETE templates/{code}/": Operation(
        "archive_template", "Archive a template: what was sent with it stays explained."
    ),
    "GET templates/{code}/versions/": Operation("list_versions", "A template's versions, newest first."),
    "POST templates/{code}/versions/": Operation(
        "create_version", "Add a version to a template. It never changes again."
    ),
    "GET templates/{code}/versions/{number}/": Operation("get_version"),
    "POST templates/{code}/activate/": Operation("activate_version"),
    "GET templates/{code}/diff/": Operation("compare_versions"),
    "GET templates/{code}/draft/": Operation("get_draft"),
    "PUT templates/{code}/draft/": Operation(
        "save_draft",
        "Write a template's draft. `base` is the state that it was read in: another since is a 409.",
    ),
    "DELETE templates/{code}/draft/": Operation("discard_draft", "Throw a template's draft away."),
    "POST templates/{code}/draft/publish/": Operation("publish_draft"),
    "POST templates/{code}/preview/": Operation("preview_template"),
    "GET templates/{code}/usage/": Operation("get_template_usage"),
    "GET templates/layouts/": Operation("list_layouts", "The organization's layouts."),
    "POST templates/layouts/": Operation("create_layout", "Add a layout."),
    "GET templates/layouts/{name}/": Operation("get_layout", "One layout."),
    "PATCH templates/layouts/{name}/": Operation(
        "update_layout",
        "Change a layout. Versions made with it stay what they are; new ones take it as it is.",
    ),
    "DELETE templates/layouts/{name}/": Operation(
        "delete_layout", "Delete a layout. Versions made with it stay what they are."
    ),
    "GET templates/layouts/{name}/uses/": Operation("list_layout_uses"),
    "GET templates/partials/": Operation("list_partials", "The organization's partials."),
    "POST templates/partials/": Operation("create_partial", "Add a partial."),
    "GET templates/partials/{name}/": Operation("get_partial", "One partial."),
    "PATCH templates/partials/{name}/": Operation(
        "update_partial",
        "Change a partial. Versions made with it stay what they are; new ones take it as it is.",
    ),
    "DELETE templates/partials/{name}/": Operation(
        "delete_partial", "Delete a partial. Versions made with it stay what they are."
    ),
    "GET templates/partials/{name}/uses/": Operation("list_partial_uses"),
    "POST templates/substitute/": Operation("substitute"),
    "GET notifications/": Operation("list_notifications", "Notifications, newest first."),
    "POST notifications/": Operation(
        "send_notification",
        "Tell one person one thing. With `dry_run`, decide and render, and store and send nothing: a 200.",
        _REPEATED,
    ),
    "POST notify/": Operation("notify", "The same as POST notifications/.", _REPEATED),
    "POST notifications/batch/": Operation("send_batch", also=_REPEATED),
    **{
        f"POST notifications/{code}/": Operation(
            f"send_{code}",
            f"POST notifications/ with `channels` of {code} alone; the body leaves them out.",
            _REPEATED,
        )
        for code in CODES
    },
    "GET notifications/{key}/": Operation("get_notification"),
    "GET notifications/{key}/status/": Operation(
        "get_notification_status", "The same as GET notifications/{key}/."
    ),
    "GET notifications/{key}/events/": Operation("list_notification_events"),
    "POST notifications/{key}/cancel/": Operation("cancel_notification"),
    "GET dead-letters/": Operation("list_dead_letters"),
    "POST dead-letters/replay/": Operation("replay_dead_letters"),
    "POST dead-letters/{letter}/discard/": Operation("discard_dead_letter"),
    "GET webhook-endpoints/": Operation("get_webhook_endpoint", also=(404,)),
    "PUT webhook-endpoints/": Operation("save_webhook_endpoint"),
    "DELETE webhook-endpoints/": Operation("delete_webhook_endpoint", also=(404,)),
    "POST webhook-endpoints/rotate/": Operation("rotate_webhook_secret", also=(404,)),
    "POST webhook-endpoints/test/": Operation("test_webhook_endpoint", also=(404,)),
    "POST webhook-endpoints/replay/": Operation("replay_webhooks", also=(404,)),
    "GET webhook-endpoints/deliveries/": Operation("list_webhook_deliveries"),
    "GET suppressions/": Operation("list_suppressions"),
    "POST suppressions/": Operation("suppress"),
    "POST suppressions/{suppression}/lift/": Operation("lift_suppression"),
    "GET providers/": Operation("list_providers"),
    "GET providers/{provider}/history/": Operation("list_provider_history"),
    "POST providers/{provider}/open/": Operation(
        "open_provider_circuit",
        "Open the account's circuit: its messages wait or take the next account, until it is closed.",
    ),
    "POST providers/{provider}/close/": Operation("close_provider_circuit", "Close the account's circuit."),
    "GET providers/{provider}/events/": Operation(
        "look_at_provider_events",
        "Tell a service that the URL is there. Some look before they save it; nothing of what it reported is shown.",
    ),
    "POST providers/{provider}/events/": Operation("take_provider_events", also=(403, 413, 415)),
    **{f"POST {code}/status/": Operation(f"take_{code}_receipt", also=(404,)) for code in CODES},
    "GET health/": Operation("get_health"),
    "GET health/live/": Operation("get_liveness"),
    "GET health/ready/": Operation("get_readiness", "The same as GET health/."),
}
"""By method and path under /api/v1/."""
