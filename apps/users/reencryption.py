"""Re-encryption: values that an older key encrypted are encrypted with the first key."""

from collections.abc import Iterator
from typing import Any

from django.db.models import TextField, Value
from django.db.models.functions import Cast

from notifier.lib.database.encryption import EncryptedTextField

ROWS_PER_BATCH = 500


def reencrypted_batches(field: "EncryptedTextField") -> Iterator[int]:
    """Work through the column in batches by primary key; yields how many values each changed.

    Raises Undecryptable.
    """
    # A Cast's own field doesn't decrypt.
    rows: Any = field.model._base_manager.annotate(stored=Cast(field.attname, TextField())).order_by("pk")
    last = None
    while True:
        batch = list(
            (rows.filter(pk__gt=last) if last else rows).values_list("pk", "stored")[:ROWS_PER_BATCH]
        )
        if not batch:
            return
        changed = 0
        for pk, stored in batch:
            reencrypted = field.reencrypted(stored) if stored else None
            if reencrypted is not None:
                # A value that is written meanwhile stays.
                same = rows.filter(pk=pk, stored=stored)
                changed += same.update(**{field.attname: Value(reencrypted, output_field=TextField())})
        yield changed
        last = batch[-1][0]
