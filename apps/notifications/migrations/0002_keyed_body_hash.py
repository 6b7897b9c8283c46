import hashlib
import hmac

from django.conf import settings
from django.db import migrations

# HMAC (RFC 2104) by what PostgreSQL brings: the rows may be millions, and need not come here.
KEYED = """
UPDATE {table} SET body_hash = encode(
  sha256(%s::bytea || sha256(%s::bytea || convert_to(body_hash, 'UTF8'))), 'hex'
) WHERE body_hash <> ''
"""
BLOCK = 64


def key_hashes(apps, schema_editor):
    """What was a plain SHA-256 of the body becomes its HMAC, as new ones are: a stored request is still recognised."""
    key = settings.HASH_KEY.encode()
    for name in ("Notification", "IdempotencyRecord"):
        model = apps.get_model("notifications", name)
        if schema_editor.connection.vendor == "postgresql":
            block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
            outer, inner = (bytes(byte ^ pad for byte in block) for pad in (0x5C, 0x36))
            table = schema_editor.quote_name(model._meta.db_table)
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(KEYED.format(table=table), [outer, inner])
            continue
        for pk, plain in model.objects.exclude(body_hash="").values_list("pk", "body_hash").iterator():
            keyed = hmac.new(key, plain.encode(), hashlib.sha256).hexdigest()
            model.objects.filter(pk=pk).update(body_hash=keyed)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]

    operations = [migrations.RunPython(key_hashes, migrations.RunPython.noop)]
