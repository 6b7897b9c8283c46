"""Reads bounces from a maildir, an IMAP folder or a mail server's pipe, once or continuously."""

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.notifications.feedback import pipe
from apps.notifications.feedback.imap.connection import MailboxError
from apps.notifications.feedback.imap.reader import ImapReader
from apps.notifications.feedback.imap.settings import ImapSettings
from apps.notifications.feedback.maildir import Maildir, NotAMaildir
from notifier.lib.database.recovery import DATABASE_ERRORS, bound_statements, forget_broken_connections

log = structlog.get_logger(__name__)

STDIN = "-"
NOT_READ = (OSError, MailboxError, *DATABASE_ERRORS)


class Source(Protocol):
    """Where bounces come from. `pause`: seconds from one reading to the next; after failures in a row it doubles, up
    to `longest_pause`."""

    pause: float
    longest_pause: float

    def read_new(self) -> Iterator[str]: ...


class Command(BaseCommand):
    help = "Read bounces: what can't be delivered, and which addresses are dead for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "source",
            metavar="SOURCE",
            help="A maildir (the folder that has new, cur and tmp), an IMAP folder as"
            " imaps://user@host/INBOX?password_file=…, or - for one mail on standard input.",
        )
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--once", action="store_true", help="Read what is there and exit. The default.")
        mode.add_argument("--follow", action="store_true", help="Go on reading until the process is ended.")
        parser.add_argument(
            "--aside",
            type=Path,
            help="With -: the maildir for mails that are no bounce of ours. Default: VAR_DIR/bounces-aside.",
        )
        parser.add_argument(
            "--json", action="store_true", help="JSON objects on standard output, one for each reading."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        piped = options["source"] == STDIN
        if piped and options["follow"]:
            raise CommandError("Standard input holds one mail: leave --follow out.", returncode=2)
        if options["aside"] is not None and not piped:
            raise CommandError("--aside is for standard input: SOURCE is not -.", returncode=2)
        if piped:
            self._read_pipe(options["aside"] or settings.VAR_DIR / "bounces-aside", options["json"])
            return
        with _source(options["source"]) as source:
            if options["follow"]:
                self._follow(source, options["json"])
            else:
                self._read_once(source, options["json"])

    def _read_pipe(self, aside: Path, as_json: bool) -> None:
        """Whatever happens, the mail server must neither lose the mail nor send it back."""
        # It is not for a mail server to wait for somebody's lock.
        bound_statements()
        try:
            kind = pipe.read_one(sys.stdin.buffer, aside)
        except Exception as error:
            if not isinstance(error, NOT_READ):
                log.exception("bounce_not_read")
            # A mail server's log has room for a sentence.
            raise CommandError(f"Not read, try again later: {error}", returncode=os.EX_TEMPFAIL) from error
        if as_json:
            # Otherwise without a word: some mail servers take any output for a failure.
            self._print(Counter([kind]), as_json)

    def _read_once(self, source: Source, as_json: bool) -> None:
        read: Counter[str] = Counter()
        try:
            for kind in source.read_new():
                read[kind] += 1
        except NOT_READ as error:
            if read:
                self._print(read, as_json)
            raise CommandError(f"Not everything was read: {error}") from error
        self._print(read, as_json)

    def _follow(self, source: Source, as_json: bool) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        failed = 0
        while not stop.is_set():
            read: Counter[str] = Counter()
            try:
                for kind in source.read_new():
                    read[kind] += 1
                    if stop.is_set():
                        break
                failed = 0
            except NOT_READ as error:
                failed += 1
                log.error("bounces_not_read", reason=str(error))
                forget_broken_connections()
            if read:
                self._print(read, as_json)
            stop.wait(min(source.pause * 2.0 ** max(failed - 1, 0), source.longest_pause))

    def _print(self, read: Counter[str], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"read": read.total(), **read}))
        else:
            parts = ", ".join(f"{count} {kind}" for kind, count in sorted(read.items()))
            self.stdout.write(f"{read.total()} read: {parts}." if parts else "Nothing is new.")


@contextmanager
def _source(text: str) -> Iterator[Source]:
    try:
        source = ImapReader(ImapSettings.from_url(text)) if "://" in text else Maildir(Path(text))
    except (NotAMaildir, ValueError) as error:
        raise CommandError(str(error), returncode=2) from error
    with closing(source) if isinstance(source, ImapReader) else nullcontext():
        yield source
