from django.db import migrations, models


class Migration(migrations.Migration):
    """The column keeps its name: processes of the last release write to it while this one starts."""

    dependencies = [
        ("notifications", "0005_unread_events"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("unreadevent", "fault", "error"),
                migrations.AlterField(
                    "unreadevent",
                    "error",
                    models.CharField(db_column="fault", help_text="What was missed in it.", max_length=500),
                ),
            ],
        ),
    ]
