"""Bounces in an IMAP folder, at a server that a test scripts; `make verify` reads the same from Dovecot."""

import json
import signal
import time
from contextlib import suppress
from io import StringIO
from urllib.parse import quote, urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.email.render import return_path
from apps.notifications.feedback.imap import connection
from apps.notifications.models import Event, ImapFolder, ProviderEvent
from tests.conftest import wait_until
from tests.notifications.feedback.test_read_bounces import (  # noqa: F401
    HOSTILE,
    message_id,
    row,
    suppressed,
    verp,
)
from tests.support.bounce_mails import postfix
from tests.support.bounce_reader import ended, environment, start
from tests.support.gateway import Gateway
from tests.support.imap_server import PASSWORD, ScriptedImapServer
from tests.support.routes import stored


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("IMAP_PASSWORD", PASSWORD)


@pytest.fixture
def server():
    with ScriptedImapServer() as one:
        yield one


@pytest.fixture
def bounce(row):
    return postfix(return_path(row.pk), message_id(row))


@pytest.fixture
def delayed(row):
    """A report of the same message with consequences of its own."""
    return postfix(return_path(row.pk), message_id(row), action="delayed", status="4.4.1")


def read(url):
    out = StringIO()
    call_command("read_bounces", url, "--json", stdout=out)
    return json.loads(out.getvalue())


def events():
    return sorted(ProviderEvent.objects.values_list("kind", flat=True))


def test_bounces_are_seen_and_others_go_aside_unread(bounce, server):
    for mail in (HOSTILE["a letter"], bounce, HOSTILE["binary"]):
        server.deliver(mail)
    assert read(server.url()) == {"read": 3, "aside": 2, "bounced": 1}
    assert (EmailLog.objects.get().status, suppressed()) == ("bounced", ["bounced"])
    assert (list(server.mails), server.flags[2]) == ([2], {"\\Seen"})
    assert len(server.folders["Aside"]) == 2
    assert not server.flags[1]
    assert read(server.url()) == {"read": 0}


def test_read_ones_may_have_a_folder_too(bounce, server):
    server.deliver(bounce)
    assert read(server.url(done="Read")) == {"read": 1, "bounced": 1}
    assert (server.mails, server.folders) == ({}, {"Read": [bounce]})


def test_a_server_that_moves_nothing_gets_copies(bounce, server):
    server.capabilities = "IMAP4rev1 AUTH=PLAIN"
    server.deliver(HOSTILE["a letter"])
    assert read(server.url()) == {"read": 1, "aside": 1}
    assert server.folders == {"Aside": [HOSTILE["a letter"]]}
    assert server.flags[1] == {"\\Deleted"}
    assert "EXPUNGE" not in " ".join(server.commands), "it would take what others have marked"
    server.capabilities = "IMAP4rev1 AUTH=PLAIN UIDPLUS"
    server.deliver(HOSTILE["a letter"])
    read(server.url())
    assert list(server.mails) == [1]


def test_what_a_person_has_opened_is_read_all_the_same(bounce, server):
    server.flags[server.deliver(bounce)] = {"\\Seen"}
    assert read(server.url())["read"] == 1


def test_what_was_recorded_and_not_marked_is_marked_later(bounce, server):
    server.deliver(bounce)
    server.deliver(HOSTILE["a letter"])
    server.scripts["STORE"] = server.scripts["MOVE"] = b"{tag} NO not now\r\n"
    assert read(server.url()) == {"read": 2, "bounced": 1, "aside": 1}
    before = stored()
    server.scripts.clear()
    # Another reader may be about to.
    assert read(server.url()) == {"read": 0}
    assert not server.flags[1]
    ImapFolder.objects.update(unfiled={"1": 0, "2": 0})
    assert read(server.url()) == {"read": 0}
    after = stored()
    assert after.pop("ImapFolder") != before.pop("ImapFolder")
    assert after == before
    assert (server.flags[1], server.folders) == ({"\\Seen"}, {"Aside": [HOSTILE["a letter"]]})
    assert ImapFolder.objects.get().unfiled == {}


def test_with_other_uids_the_folder_is_read_anew_and_nothing_twice(bounce, delayed, server):
    for mail in (bounce, delayed):
        server.deliver(mail)
    assert read(server.url())["read"] == 2
    before = stored()
    server.uid_validity = 9
    server.deliver(HOSTILE["a letter"])
    assert read(server.url()) == {"read": 3, "bounced": 1, "delayed": 1, "aside": 1}
    after = stored()
    assert after.pop("ImapFolder") != before.pop("ImapFolder")
    assert after == before
    folder = ImapFolder.objects.get()
    assert (folder.uid_validity, folder.highest_uid) == (9, 3)


ONE_FAILS = {
    "refused": b"{tag} NO [SERVERBUG] corrupted\r\n",
    "not understood": b"{tag} BAD what?\r\n",
    "no mail in it": b"* 1 FETCH (UID 1 FLAGS ())\r\n{tag} OK done\r\n",
    "of another": b"* 1 FETCH (UID 7 BODY[]<0> {1}\r\nx)\r\n{tag} OK done\r\n",
    "the server falls over": lambda client, tag: None,
    "goodbye": b"* BYE corrupted\r\n",
    "a literal without end": b"* 1 FETCH (UID 1 BODY[]<0> {99999999999}\r\nx",
    "a number that is none": b"* 1 FETCH (UID 1 BODY[]<0> {" + b"9" * 5000 + b"}\r\nx",
}


@pytest.mark.parametrize("how", ONE_FAILS)
def test_one_mail_that_cannot_be_had_blocks_no_other(how, bounce, delayed, server):
    server.deliver(bounce)
    server.deliver(delayed)
    server.scripts["FETCH 1"] = ONE_FAILS[how]
    for _ in range(2):
        try:
            read(server.url())
        except CommandError as error:
            assert error.returncode == 1  # noqa: PT017 - some of them end the connection, and some don't
    assert events() == ["delayed"]
    assert ImapFolder.objects.get().postponed_uids == [1]
    server.scripts.clear()
    assert read(server.url()) == {"read": 1, "bounced": 1}
    assert ImapFolder.objects.get().postponed_uids == []


def test_a_mail_that_has_gone_is_no_error(bounce, server):
    server.deliver(bounce)
    server.scripts["FETCH 1"] = b"{tag} OK done\r\n"
    assert read(server.url()) == {"read": 0}
    folder = ImapFolder.objects.get()
    assert (folder.highest_uid, folder.unfiled) == (1, {})
    ImapFolder.objects.update(unfiled={"1": 0})
    assert read(server.url()) == {"read": 0}
    assert ImapFolder.objects.get().unfiled == {}


@pytest.mark.parametrize(
    "form",
    [
        b"* 1 FETCH (BODY[]<0> {%d}\r\n%b UID 1)\r\n{tag} OK done\r\n",
        b"* 9 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 BODY[]<0> {%d}\r\n%b)\r\n* 3 EXISTS\r\n{tag} OK done\r\n",
    ],
)
def test_an_answer_has_several_forms(form, bounce, server):
    server.deliver(bounce)
    server.scripts["FETCH 1"] = form % (len(bounce), bounce)
    assert read(server.url()) == {"read": 1, "bounced": 1}


@pytest.mark.parametrize("empty", [b'""', b"NIL", b'"a \\"short\\" one"'])
def test_a_short_mail_may_come_without_a_literal(empty, row, server):
    server.deliver(b"")
    server.scripts["FETCH 1"] = b"* 1 FETCH (UID 1 BODY[] " + empty + b")\r\n{tag} OK done\r\n"
    assert read(server.url()) == {"read": 1, "aside": 1}


def flood(client, tag):
    with suppress(OSError):
        while True:
            client.sendall(b"* 1 EXISTS\r\n" * 5000)


def drip(client, tag):
    with suppress(OSError):
        while True:
            client.sendall(b"*")
            time.sleep(0.05)


BAD_SERVERS = {
    "not IMAP": {"greeting": b"220 mail ESMTP\r\n"},
    "goodbye": {"greeting": b"* BYE busy\r\n"},
    "nothing": {"greeting": lambda client, tag: None},
    "binary": {"greeting": bytes(range(256)) * 100 + b"\r\n"},
    "no capability": {"CAPABILITY": b"{tag} OK done\r\n"},
    "capabilities in a literal": {"CAPABILITY": b"* CAPABILITY {4}\r\nIMAP\r\n{tag} OK done\r\n"},
    "no login": {"AUTHENTICATE": b"{tag} NO wrong\r\n"},
    "challenges": {"AUTHENTICATE": b"+ %%%\r\n+ %%%\r\n"},
    "no folder": {"SELECT": b"{tag} NO no such folder\r\n"},
    "read-only": {"SELECT": b"* OK [UIDVALIDITY 1] x\r\n{tag} OK [READ-ONLY] done\r\n"},
    "no UIDVALIDITY": {"SELECT": b"* 1 EXISTS\r\n{tag} OK [READ-WRITE] done\r\n"},
    "a UIDVALIDITY that is none": {"SELECT": b"* OK [UIDVALIDITY x] x\r\n{tag} OK [READ-WRITE] done\r\n"},
    "a strange tag": {"SEARCH": b"ZZZZ9 OK done\r\n"},
    "goodbye in a literal": {"SEARCH": b"* BYE {1}\r\nx\r\n{tag} OK done\r\n"},
    "a flood": {"SEARCH": flood},
    "a drip": {"SEARCH": drip},
    "a stall": {"SEARCH": lambda client, tag: client.recv(1) and b""},
    "a stall at first": {"greeting": lambda client, tag: client.recv(1) and b""},
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", BAD_SERVERS)
def test_whatever_a_server_does_it_ends_in_a_sentence(kind, bounce, server, monkeypatch):
    monkeypatch.setattr(connection, "COMMAND_SECONDS", 2.0)
    before = {name: rows for name, rows in stored().items() if name != "ImapFolder"}
    server.deliver(bounce)
    server.scripts.update(BAD_SERVERS[kind])
    with pytest.raises(CommandError, match="Not everything was read: ") as caught:
        read(server.url())
    assert caught.value.returncode == 1
    assert str(caught.value).isprintable()
    assert PASSWORD not in str(caught.value)
    after = stored()
    after.pop("ImapFolder")
    assert after == before


def test_a_flood_ends_at_its_bound_and_not_at_its_time(bounce, server, monkeypatch):
    monkeypatch.setattr(connection, "REPLY_LIMIT", 1_000_000)
    server.scripts["SEARCH"] = flood
    with pytest.raises(CommandError, match="a reply of more than 1000000 octets"):
        read(server.url())


def test_odd_numbers_in_a_search_are_left_out(bounce, server):
    server.deliver(bounce)
    server.scripts["SEARCH"] = b"* SEARCH 1 x -5 99999999999999999999 1\r\n{tag} OK done\r\n"
    assert read(server.url()) == {"read": 1, "bounced": 1}


def test_a_mail_that_the_database_refuses_is_put_aside(bounce, delayed, server):
    server.deliver(bounce)
    server.deliver(delayed)
    with database.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE notifications_providerevent ADD CONSTRAINT no_bounce CHECK (kind <> 'bounced')"
        )
    assert read(server.url()) == {"read": 2, "aside": 1, "delayed": 1}
    assert server.folders == {"Aside": [bounce]}


@pytest.mark.parametrize("source", ["token_file", "token_command"])
def test_an_access_token_is_read_anew_for_each_connection(source, bounce, server, tmp_path):
    path = tmp_path / "a token"
    value = {"token_file": str(path), "token_command": f"cat '{path}'"}[source]
    url = server.url(password_env="", **{source: quote(value)})
    server.deliver(bounce)
    for token in ("first", "second"):
        path.write_text(f"{token}\n")
        server.token = token
        read(url)
    assert EmailLog.objects.get().status == "bounced"
    path.unlink()
    with pytest.raises(CommandError, match=source):
        read(url)


WRONG_URLS = {
    "imaps://u:secret@h/INBOX": "seen by everyone",
    "imaps://u@h/INBOX": "needs one of",
    "imaps://u@h/INBOX?password_env=A&token_file=b": "needs one of",
    "imaps://h/INBOX?password_env=A": "user name",
    "imaps://u@/INBOX?password_env=A": "no host",
    "imaps://u@h:0/INBOX?password_env=A": "port",
    "imaps://u@h:x/INBOX?password_env=A": "port",
    "imaps://u@h/INBOX?password_env=A&tls=none": "TLS from the start",
    "imap://u@h/INBOX?password_env=A&tls=maybe": "starttls or none",
    "imaps://u@h/INBOX?password_env=A&pasword=x": "only the options",
    "imaps://u@h/INBOX?password_env=A&aside=INBOX": "others than the one",
    "imaps://u@h/IN%0ABOX?password_env=A": "control character",
    "imaps://u@h/INBOX?password_env=A&every=0": "seconds",
    "pop3://u@h/": "maildir",
}


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_wrong_url_is_a_usage_error(url, db):
    with pytest.raises(CommandError, match=WRONG_URLS[url]) as caught:
        read(url)
    assert caught.value.returncode == 2
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("transactional_db")
def test_two_readers_at_once_record_each_mail_once(row, server):
    for number in range(30):
        reply = f"smtp; 450 4.4.1 Wait, the {number}th time"
        server.deliver(
            postfix(return_path(row.pk), message_id(row), action="delayed", status="4.4.1", reply=reply)
        )
    readers = [start(server.url(), "--json") for _ in range(2)]
    counts = [json.loads(reader.communicate(timeout=60)[0])["read"] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    assert sum(counts) == 30
    assert Event.objects.filter(kind="delayed").count() == 30
    assert all(server.flags[uid] == {"\\Seen"} for uid in server.mails)
    assert [command.split()[2] for command in server.commands if "STORE" in command].count("1") == 1


@pytest.mark.usefixtures("transactional_db")
def test_it_follows_through_lost_connections_and_outages(bounce, delayed, server):
    target = urlsplit(environment()["DATABASE_URL"])
    login, _, _ = target.netloc.rpartition("@")
    with Gateway(target.hostname, target.port or 5432) as gateway:
        through = target._replace(netloc=f"{login}@127.0.0.1:{gateway.port}").geturl()
        reader = start(server.url(), "--follow", DATABASE_URL=through)
        try:
            server.deliver(HOSTILE["a letter"])
            wait_until(lambda: server.folders.get("Aside"), seconds=30)
            # The server restarts, and takes nobody at first.
            server.scripts["greeting"] = server.refuse
            server.hang_up()
            server.deliver(delayed)
            wait_until(lambda: server.refused >= 2, seconds=30)
            server.scripts.clear()
            wait_until(lambda: events() == ["delayed"], seconds=30)
            wait_until(lambda: ImapFolder.objects.get().unfiled == {}, seconds=30)
            gateway.cut()
            uid, before = server.deliver(bounce), len(server.commands)
            # With the database away it comes and goes.
            wait_until(lambda: "SELECT" in " ".join(server.commands[before:]), seconds=30)
            assert not server.flags[uid]
            gateway.open()
            wait_until(lambda: server.flags[uid] == {"\\Seen"}, seconds=60)
            code, out, err = ended(reader, signal.SIGTERM)
        finally:
            reader.kill()
            reader.communicate()
    assert EmailLog.objects.get().status == "bounced"
    assert code == 0
    assert out == "1 read: 1 aside.\n1 read: 1 delayed.\n1 read: 1 bounced.\n"
    assert "bounces_not_read" in err
    assert PASSWORD not in err
