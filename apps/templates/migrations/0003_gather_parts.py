import hashlib
import json

from django.db import migrations

COLUMNS = {
    "email": ("subject", "html", "text", "source_format", "layout"),
    "push": ("title", "body", "image", "link", "data"),
}
ROWS = 200


def digest(parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def gather_parts(apps, schema_editor):
    """Each content's columns become one object; what is read back must be what the columns hold.

    In no transaction: the table stays in use meanwhile, and a content without parts is read from its columns.
    """
    contents = apps.get_model("templates", "TemplateContent").objects
    ids = list(contents.filter(parts__isnull=True).order_by("pk").values_list("pk", flat=True))
    for begin in range(0, len(ids), ROWS):
        batch = contents.filter(pk__in=ids[begin : begin + ROWS])
        expected = {}
        for row in batch:
            row.parts = {name: getattr(row, name) for name in COLUMNS[row.channel]}
            expected[row.pk] = digest(row.parts)
            contents.filter(pk=row.pk).update(parts=row.parts)
        stored = {pk: digest(parts) for pk, parts in batch.values_list("pk", "parts")}
        if stored != expected:
            raise ValueError(f"These contents are not the same: {set(stored.items()) ^ set(expected.items())}.")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("templates", "0002_content_parts")]

    operations = [migrations.RunPython(gather_parts, migrations.RunPython.noop)]
