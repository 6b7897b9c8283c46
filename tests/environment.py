"""Loaded before Django's settings: the tests' services and secrets.

Without DATABASE_URL the services are found or started by scripts/services. Where RabbitMQ and Redis are
installed, each run starts instances of its own, so that two runs, or a run and whatever else uses the shared
ones, don't take each other's messages. NOTIFIER_TEST_LOCAL=1 runs on the local default (SQLite, in-memory
broker) instead.
"""

import atexit
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "HASH_KEY", "ENCRYPTION_KEYS"):
    os.environ.setdefault(name, f"{name.lower()}-of-the-tests-and-nothing-else")
os.environ.setdefault("ALLOW_REGISTRATION", "true")
# Far off: a test calls more often in a second than people do in an hour. The limits' own tests set theirs.
for name in ("RATE_LIMIT_ADDRESS", "RATE_LIMIT_KEY", "RATE_LIMIT_PERSON", "RATE_LIMIT_ITEMS"):
    os.environ.setdefault(name, "1000000")
os.environ.setdefault("EMAIL_FROM", "Notifier <notifier@sender.test>")
if "VAR_DIR" not in os.environ:
    # What processes leave there is no state of the checkout's.
    os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="notifier-tests-")
    atexit.register(shutil.rmtree, os.environ["VAR_DIR"], ignore_errors=True)

if os.environ.get("NOTIFIER_TEST_LOCAL"):
    for name in ("DATABASE_URL", "BROKER_URL", "REDIS_URL"):
        os.environ.pop(name, None)
elif "DATABASE_URL" not in os.environ:
    found = subprocess.run([ROOT / "scripts/services"], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if found.returncode:
        sys.exit("The tests need their services; see the sentence above.")
    for line in found.stdout.splitlines():
        if match := re.match(r"export (\w+)=(.*)", line):
            os.environ[match[1]] = shlex.split(match[2])[0]

# With `-n` this process only hands out tests; those that run them come here, too.
runs_workers = "PYTEST_XDIST_WORKER" not in os.environ and any(word.startswith("-n") for word in sys.argv)
if not os.environ.get("NOTIFIER_TEST_LOCAL") and not runs_workers:
    from scripts.private_services.process import NotInstalled
    from scripts.private_services.rabbit import PrivateRabbit
    from scripts.private_services.redis import PrivateRedis

    for variable, kind in (("BROKER_URL", PrivateRabbit), ("REDIS_URL", PrivateRedis)):
        try:
            instance = kind()
            instance.start()
        except NotInstalled:
            continue
        os.environ[variable] = instance.url
