"""`manage.py quickstart`: API, worker, scheduler and stand-in providers in one process (`make run`)."""

import socket
import threading
from pathlib import Path
from typing import Any

from celery import current_app
from celery.worker import WorkController
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import WSGIServer, run
from django.core.wsgi import get_wsgi_application

from apps.notifications.queue import broker
from apps.notifications.routing.accounts import setting_of
from apps.notifications.scheduler import loop
from notifier.local import demo
from notifier.local.inbox import inbox

PORTS_TRIED = 20


class Command(BaseCommand):
    help = "Run everything in this one process, with stand-in providers and demo data; nothing to install."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="The first port to try. Default: 8000.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.LOCAL:
            raise CommandError("quickstart is the local default: unset DATABASE_URL and BROKER_URL.")
        Path(settings.VAR_DIR).mkdir(exist_ok=True)
        call_command("migrate", verbosity=0)
        seeded = demo.seed()
        self._start_providers()
        self._start_worker()
        threading.Thread(target=loop.run, args=(threading.Event(),), name="tick", daemon=True).start()
        port = _free_port(options["port"])
        settings.PUBLIC_URL = f"http://127.0.0.1:{port}"
        run(
            "127.0.0.1",
            port,
            get_wsgi_application(),
            threading=True,
            on_bind=lambda _: self._greet(port, options["port"], seeded),
            server_cls=WSGIServer,
        )

    def _start_providers(self) -> None:
        for channel, stand_in in demo.STAND_INS.items():
            setattr(settings, setting_of(channel), stand_in.start(inbox))

    def _start_worker(self) -> None:
        with current_app.connection_for_write() as connection:
            broker.declare(connection.channel())
        # The controller alone: Celery's worker program would take over this process's signals.
        worker = WorkController(
            app=current_app,
            hostname="local",
            pool_cls="threads",
            concurrency=4,
            queues=list(broker.LANES),
            without_mingle=True,
            without_gossip=True,
        )
        threading.Thread(target=worker.start, name="worker", daemon=True).start()

    def _greet(self, port: int, wanted: int, seeded: dict[str, str]) -> None:
        base = f"http://127.0.0.1:{port}"
        demo.served_at(base)
        if port != wanted:
            self.stdout.write(f"Port {wanted} is taken; this is {port}.")
        self.stdout.write(
            f"""
Notifier is running.

  Inbox       {base}/            what was sent appears here
  API docs    {base}/api/docs/
  Admin       {base}/admin/      {seeded["admin"]} / {seeded["password"]}

Send the demo notification, in another shell:

{demo.curl(f"127.0.0.1:{port}")}

Stop with Ctrl-C.
"""
        )
        self.stdout.flush()


def _free_port(first: int) -> int:
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CommandError(f"Ports {first} to {first + PORTS_TRIED - 1} are taken; name another with --port.")
