"""Pushes, from rows to FCM's stand-in, beside firebase-admin's own `send_each`."""

import json
import subprocess
import sys
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.stage import ROOT, Sink, Stage, wait_for_messages
from benchmarks.table import Row
from benchmarks.world import forget, interleaved, post_batches


def measure(stage: Stage, key: str) -> list[Row]:
    rows = []
    for delay, threads in ((0.0, 4), (0.05, 100)):
        ours, theirs = (500, 500) if stage.quick else (10_000, 2_000)
        with stage.fcm_sink(delay) as sink:
            found = interleaved(
                1 if stage.quick else 3,
                lambda sink=sink, threads=threads, ours=ours: _ours(stage, key, sink, ours, threads),  # type: ignore[misc]
                lambda sink=sink, theirs=theirs: _theirs(stage, sink, theirs),  # type: ignore[misc]
            )
        work = f"pushes, answers after {delay * 1000:.0f} ms"
        rows.append(Row(work, found[0], "firebase-admin, send_each of 500", found[1], 3.0))
    return rows


def _ours(stage: Stage, key: str, sink: Sink, count: int, threads: int) -> float:
    forget()
    account = _account(stage, sink)
    before = sink.count()
    with stage.wsgi() as (host, _):
        post_batches(host, key, count, channel="push")
    url = f"fcm://bench/?credentials={account}&base_url=http://127.0.0.1:{sink.port}&pool_size={threads}"
    with stage.workers("push.bulk", processes=2, threads=threads, PUSH_PROVIDER_URL=url) as pids:
        return wait_for_messages(lambda: sink.count() - before, int(count * 0.95), {"workers": pids}).rate


def _theirs(stage: Stage, sink: Sink, count: int) -> float:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmarks.pushes", str(sink.port), str(count), str(_account(stage, sink))],
        cwd=ROOT, env=stage.environment, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def _account(stage: Stage, sink: Sink) -> str:
    path = stage.directory / f"account-{sink.port}.json"
    if not path.exists():
        pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": "bench",
                    "private_key_id": "bench",
                    "private_key": pem.decode(),
                    "client_email": "bench@bench.iam.gserviceaccount.com",
                    "token_uri": f"http://127.0.0.1:{sink.port}/token",
                }
            )
        )
    return str(path)


def bare(port: int, count: int, account: str) -> float:
    """firebase-admin used as documented, with the stand-in's address."""
    import firebase_admin
    from firebase_admin import credentials, messaging

    messaging._MessagingService.FCM_URL = f"http://127.0.0.1:{port}/v1/projects/{{0}}/messages:send"
    firebase_admin.initialize_app(credentials.Certificate(account))
    made = [
        messaging.Message(
            notification=messaging.Notification(title=f"Order A-{n}", body=f"Hello Person {n}"),
            token=f"device-token-of-somebody-{n:09}-{'x' * 120}",
        )
        for n in range(count)
    ]
    messaging.send_each(made[:10])
    began = time.monotonic()
    for start in range(0, count, 500):
        answer = messaging.send_each(made[start : start + 500])
        if answer.failure_count:
            raise RuntimeError(str(next(one.exception for one in answer.responses if one.exception)))
    return count / (time.monotonic() - began)


if __name__ == "__main__":
    sys.stdout.write(f"{bare(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])}\n")
