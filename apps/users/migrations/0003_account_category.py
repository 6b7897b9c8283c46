from django.db import migrations, models
from django.db.models import Q


def make_mandatory(apps, schema_editor):
    apps.get_model("users", "Category").objects.filter(code="account").update(
        mandatory=True, cap=None, cap_window=None
    )


class Migration(migrations.Migration):
    dependencies = [("users", "0002_audit_append_only")]

    operations = [
        migrations.RunPython(make_mandatory, migrations.RunPython.noop),
        migrations.AddConstraint(
            "category",
            models.CheckConstraint(
                condition=~Q(code="account") | Q(mandatory=True, cap=None),
                name="category_account_mandatory",
                violation_error_code="reserved",
                violation_error_message="Nobody can opt out of what concerns their account, and it has no cap.",
            ),
        ),
    ]
