from django.db import IntegrityError, migrations, transaction
from django.db.models import Q

from notifier.lib.email_addresses import tidied


def respell(apps, schema_editor):
    """People's addresses get the one spelling that look-ups use now. Who has, in another spelling, an address that
    somebody else of the organization has already, keeps it as it is: both are still told what is sent to them."""
    people = apps.get_model("users", "User").objects
    # Plain addresses have it already.
    odd = people.filter(Q(email__regex=r"[^ -~]") | Q(email__contains='"')).values_list("pk", "email")
    for pk, address in list(odd):
        now = tidied(address)
        if now == address:
            continue
        try:
            with transaction.atomic():
                people.filter(pk=pk).update(email=now)
        except IntegrityError:
            continue


class Migration(migrations.Migration):
    dependencies = [("users", "0005_list_indexes")]

    operations = [migrations.RunPython(respell, migrations.RunPython.noop)]
