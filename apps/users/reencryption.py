"""Rows that an older key encrypted, encrypted with the first one."""

from collections.abc import Iterator
from typing import Any

from django.db.models import TextField, Value
from django.db.models.functions import Cast

from notifier.lib.database.encryption import EncryptedTextField

ROWS_A_BATCH = 500


def pending(field: "EncryptedTextField") -> Iterator[int]:
    """Work through the column in batches by primary key; yields how many each changed. Raises Undecryptable."""
    # A Cast's own field doesn't decrypt.
    rows: Any = field.model._base_manager.annotate(stored=Cast(field.attname, TextField())).order_by("pk")
    last = None
    while True:
        batch = list((rows.filter(pk__gt=last) if last else rows).values_list("pk", "stored")[:ROWS_A_BATCH])
        if not batch:
            return
        changed = 0
        for pk, stored in batch:
            anew = field.reencrypted(stored) if stored else None
            if anew is not None:
                # What somebody writes meanwhile stays.
                same = rows.filter(pk=pk, stored=stored)
                changed += same.update(**{field.attname: Value(anew, output_field=TextField())})
        yield changed
        last = batch[-1][0]
