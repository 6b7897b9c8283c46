from django.db import migrations
from django.db.models import Q
from django.utils import timezone

from apps.users.recipient_hashes import recipient_hash
from notifier.lib.email_addresses import tidied


def _odd(column):
    # The hashes of plain addresses are what they were.
    return Q(**{f"{column}__regex": r"[^ -~]"}) | Q(**{f"{column}__contains": '"'})


def rehash(apps, schema_editor):
    """Suppressions and deliveries get the hash that all spellings of their address have now."""
    suppressions = apps.get_model("notifications", "Suppression").objects
    rows = suppressions.filter(_odd("recipient"), channel="email")
    # The oldest of several for one mailbox stays.
    for row in rows.order_by("id").iterator(chunk_size=500):
        hashed = recipient_hash("email", row.recipient)
        if hashed == row.recipient_hash:
            continue
        same = suppressions.filter(
            organization_id=row.organization_id, channel=row.channel, recipient_hash=hashed, lifted_at=None
        )
        if row.lifted_at is None and same.exists():
            suppressions.filter(pk=row.pk).update(
                lifted_at=timezone.now(),
                lifted_by="upgrade",
                lift_reason="The same mailbox is suppressed in another spelling.",
            )
        suppressions.filter(pk=row.pk).update(recipient_hash=hashed)
    logs = apps.get_model("notifications", "EmailLog").objects
    for pk, address in logs.filter(_odd("email")).values_list("pk", "email").iterator(chunk_size=500):
        logs.filter(pk=pk).update(email=tidied(address), recipient_hash=recipient_hash("email", address))


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_list_indexes")]

    operations = [migrations.RunPython(rehash, migrations.RunPython.noop)]
