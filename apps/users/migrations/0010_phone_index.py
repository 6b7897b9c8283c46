import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    # Apart from the column, whose lock would otherwise be held while the table is read.
    dependencies = [("users", "0009_phone")]

    operations = [
        migrations.AddIndex(
            model_name='user',
            index=models.Index(django.db.models.functions.text.Lower('phone'), condition=models.Q(('phone', ''), _negated=True), name='user_by_phone'),
        ),
    ]
