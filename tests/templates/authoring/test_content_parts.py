"""A content's parts are one column: what was stored in columns of their own is the same in it, to every reader."""

import hashlib
import json

import pytest
from django.core.management import call_command
from django.db import connection

from apps.templates.models import FORMER_COLUMNS, TemplateContent
from apps.templates.rendering.rendering import render
from notifier.channels.registry import CHANNELS
from tests.support.factories import EMAIL_EN, PUSH_EN, template_with

WHOLE_PUSH = {
    **PUSH_EN,
    "language": "fr-CA",
    "title": "Été «\u00a0{{ name }}\u00a0»",
    "image": "https://example.com/{{ name }}.png",
    "link": "app://orders/{{ name }}",
    "data": {"z": "{{ name }}", "a": '\\ "quoted" \u2028 {{ name }}', "": ""} | {"k" * 255: "v"},
}
STYLED = {
    **EMAIL_EN,
    "language": "de",
    "html": "<style>p{color:red}</style><p>{{ name }}</p>\r\n\t",
    "text": "",
}
VARIABLES = {"name": "Ada", "unsubscribe_url": None}


def by_hash(rows):
    """Of each content: hashes of its parts, of what it renders to, and of its columns."""

    def hashed(value):
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    return {
        row.pk: (
            hashed(row.fields()),
            hashed(render(row.source, VARIABLES)),
            hashed([getattr(row, name) for name in FORMER_COLUMNS[row.channel]]),
        )
        for row in rows
    }


@pytest.fixture
def contents(organization):
    del WHOLE_PUSH["data"][""]
    yield template_with(organization, EMAIL_EN, STYLED, PUSH_EN, WHOLE_PUSH).contents
    WHOLE_PUSH["data"][""] = ""


def test_an_upgrade_keeps_every_version_as_it_is(transactional_db, contents):
    before = by_hash(contents.all())
    call_command("migrate", "templates", "0001", verbosity=0)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM templates_templatecontent WHERE html <> ''")
            assert cursor.fetchone() == (2,)
    finally:
        call_command("migrate", "templates", verbosity=0)
    assert len(before) == 4
    assert by_hash(contents.all()) == before
    assert set(contents.values_list("parts", flat=True).get(language="fr-CA")) == set(FORMER_COLUMNS["push"])


def test_what_a_process_of_the_previous_release_stores_meanwhile_is_read(db, contents):
    before = by_hash(contents.all())
    contents.update(parts=None)
    assert by_hash(contents.all()) == before


def test_a_process_of_the_previous_release_reads_what_is_stored_now(db, contents):
    for row in contents.all():
        written = {part.name: row.part(part) for part in row.declared.parts}
        assert {name: getattr(row, name) for name in FORMER_COLUMNS[row.channel]} == written


def test_the_previous_release_stores_a_content_without_parts(db, contents):
    """Its INSERT does not know the column."""
    row = contents.get(language="de")
    row.parts = None
    columns = [field for field in row._meta.concrete_fields if field.name not in ("id", "parts", "language")]
    names = ", ".join(field.column for field in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO templates_templatecontent (id, language, {names})"  # noqa: S608 - our own columns
            f" SELECT gen_random_uuid(), 'it', {names} FROM templates_templatecontent WHERE id = %s",
            [row.pk],
        )
    stored = TemplateContent.objects.get(language="it")
    assert stored.parts["html"] == STYLED["html"]
    assert render(stored.source, VARIABLES)["html"].startswith("<style>p{color:red}</style><p style=")


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=lambda channel: channel.code)
def test_what_a_channel_declares_goes_together(channel):
    names = [part.name for part in channel.parts]
    assert len(set(names)) == len(names)
    assert not {"channel", "language"} & set(names), "the API's form has these beside the parts"
    assert set(channel.required) | set(channel.one_of) <= {part.name for part in channel.sources}
    assert len({part.kind for part in channel.parts if part.kind in ("format", "layout")}) == sum(
        part.kind in ("format", "layout") for part in channel.parts
    ), "one of each at most"
