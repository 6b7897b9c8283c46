import hashlib
import json

from django.db import migrations, models

import notifier.channels.registry

COLUMNS = {
    "email": ("subject", "html", "text", "source_format", "layout"),
    "push": ("title", "body", "image", "link", "data"),
}
ROWS = 200


def digest(parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def gather_parts(apps, schema_editor):
    """Each content's columns become one object; what is read back must be what the columns hold."""
    contents = apps.get_model("templates", "TemplateContent").objects
    ids = contents.filter(parts__isnull=True).order_by("pk").values_list("pk", flat=True)
    for row in contents.filter(pk__in=list(ids)).iterator(chunk_size=ROWS):
        parts = {name: getattr(row, name) for name in COLUMNS[row.channel]}
        contents.filter(pk=row.pk).update(parts=parts)
        stored = contents.values_list("parts", flat=True).get(pk=row.pk)
        if digest(stored) != digest(parts):
            raise ValueError(f"The content {row.pk} would not be the same; nothing was changed.")


class Migration(migrations.Migration):
    dependencies = [("templates", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="templatecontent", name="parts", field=models.JSONField(null=True)
        ),
        migrations.AlterField(
            model_name="templatecontent",
            name="channel",
            field=models.CharField(choices=notifier.channels.registry.choices, max_length=16),
        ),
        migrations.RunPython(gather_parts, migrations.RunPython.noop),
    ]
