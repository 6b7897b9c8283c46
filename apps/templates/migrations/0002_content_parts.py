from django.db import migrations, models

import notifier.channels.registry


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
    ]
