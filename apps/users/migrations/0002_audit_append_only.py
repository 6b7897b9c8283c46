"""The audit log is append-only for whoever reaches the database through this application, too."""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION notifier_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$
"""
TRIGGER = """
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON users_auditentry
FOR EACH ROW EXECUTE FUNCTION notifier_audit_is_append_only()
"""


def guard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION)
        schema_editor.execute(TRIGGER)


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER audit_append_only ON users_auditentry")
        schema_editor.execute("DROP FUNCTION notifier_audit_is_append_only()")


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]

    operations = [migrations.RunPython(guard, unguard)]
