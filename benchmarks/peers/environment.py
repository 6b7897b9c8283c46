"""The peers' virtual environment, made at the first run."""

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.stage import ROOT, Stage

VENV = ROOT / "var/bench-venv"
LIST = ROOT / "benchmarks/peers.txt"
SAME = ("django", "celery", "psycopg", "psycopg-binary", "firebase-admin", "redis", "hiredis")
"""Packages pinned to the product's versions, so that they are not the difference."""


def python() -> Path:
    """The path of its interpreter. Raises CalledProcessError where the packages can't be installed."""
    wanted = LIST.read_text() + "".join(f"{name}=={version(name)}\n" for name in SAME)
    stamp, interpreter = VENV / "stamp", VENV / "bin/python"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)  # noqa: S603
        listed = VENV / "peers.txt"
        listed.write_text(wanted)
        pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
        subprocess.run([*pip, str(listed)], check=True)  # noqa: S603
        stamp.write_text(digest)
    return interpreter


def variables(stage: Stage, port: int) -> dict[str, str]:
    return {
        "PEER_DATABASE_URL": f"{stage.server}/{stage.database}_peers",
        "PEER_BROKER_URL": stage.environment["BROKER_URL"],
        "PEER_SMTP_PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "benchmarks.peers.settings",
        "PYTHONPATH": str(ROOT),
    }


def database(stage: Stage, interpreter: Path, port: int) -> None:
    """The peers' own database with their tables."""
    import psycopg

    name = f"{stage.database}_peers"
    with psycopg.connect(f"{stage.server}/postgres", autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
    run(stage, interpreter, port, "-m", "django", "migrate", "--run-syncdb", "-v0")


def drop(stage: Stage) -> None:
    import psycopg

    with psycopg.connect(f"{stage.server}/postgres", autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{stage.database}_peers" WITH (FORCE)')


def run(stage: Stage, interpreter: Path, port: int, *arguments: str) -> None:
    """Raises CalledProcessError."""
    with (stage.directory / "log").open("ab") as log:
        subprocess.run(  # noqa: S603
            [str(interpreter), *arguments],
            cwd=ROOT, env={**stage.environment, **variables(stage, port)}, check=True, stdout=log, stderr=log,
            timeout=300,
        )  # fmt: skip
