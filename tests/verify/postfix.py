"""A private Postfix: it delivers mail for `inbox.test` into a maildir, relays `remote.test` to a server that a test
scripts, and puts bounces into a maildir of their own, or pipes them into a command."""

import os
import pwd
import shlex
import shutil
import smtplib
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.environment import ROOT

PROGRAMS = Path("/usr/lib/postfix/sbin")
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
notifier unix - n n - 2 pipe
  flags=DR user=nobody argv={root}/etc/read-bounce
postlog unix-dgram n - n - 1 postlogd
"""
MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
daemon_directory = {programs}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {root}/log/mail.log
maillog_file_prefixes = {root}
myhostname = relay.sender.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtputf8_enable = yes
recipient_delimiter = +
smtp_host_lookup = native
smtp_tls_security_level = none
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_mailbox_domains = inbox.test, sender.test
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = regexp:{root}/etc/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{ {{ remote.test = smtp:[127.0.0.1]:{remote} }} }}, regexp:{root}/etc/transports
notifier_destination_recipient_limit = 1
minimal_backoff_time = 1s
default_destination_concurrency_limit = 20
queue_minfree = 0
"""
MAILBOXES = r"""
/^person[0-9]+@inbox\.test$/ inbox/
/^bounces(\+.*)?@sender\.test$/ bounces/
/^piped(\+.*)?@sender\.test$/ bounces/
"""
TRANSPORTS = r"/^piped(\+.*)?@sender\.test$/ notifier:"
READ_BOUNCE = """\
#!/bin/sh
set -a
. {root}/etc/environment
cd {ours} && $PYTHON manage.py read_bounces - || exit 75
"""


def missing() -> str:
    """Why Postfix can't run here; empty where it can."""
    if not (PROGRAMS / "master").exists() or not shutil.which(
        "postfix", path=f"{os.environ['PATH']}:/usr/sbin"
    ):
        return "Postfix is not installed (on Debian: apt-get install postfix)."
    return "" if os.geteuid() == 0 else "Postfix has to be started by root."


class Postfix:
    def __init__(self, port: int, remote: int) -> None:
        # Its users have to reach it, whoever may read the tests' own folders.
        self.root = Path(tempfile.mkdtemp(prefix="postfix-", dir="/var/tmp"))
        self.root.chmod(0o755)
        self.port = port
        owner = pwd.getpwnam("nobody")
        for name in ("etc", "queue", "data", "log", "mail"):
            (self.root / name).mkdir()
        shutil.chown(self.root / "data", "postfix")
        for box in ("inbox", "bounces"):
            for part in ("", "new", "cur", "tmp"):
                folder = self.root / "mail" / box / part
                folder.mkdir(exist_ok=True)
                os.chown(folder, owner.pw_uid, owner.pw_gid)
        etc = self.root / "etc"
        (etc / "main.cf").write_text(
            MAIN.format(root=self.root, programs=PROGRAMS, remote=remote, uid=owner.pw_uid, gid=owner.pw_gid)
        )
        (etc / "master.cf").write_text(MASTER.format(port=port, root=self.root))
        (etc / "mailboxes").write_text(MAILBOXES)
        (etc / "transports").write_text(TRANSPORTS)
        (etc / "read-bounce").write_text(READ_BOUNCE.format(root=self.root, ours=ROOT))
        (etc / "read-bounce").chmod(0o755)
        (self.root / "var").mkdir()
        shutil.chown(self.root / "var", owner.pw_uid, owner.pw_gid)

    def __enter__(self) -> Self:
        try:
            self._postfix("start")
            deadline = time.monotonic() + 30
            while True:
                try:
                    with smtplib.SMTP("127.0.0.1", self.port, timeout=5):
                        return self
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._postfix("stop", check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def use(self, environment: dict[str, str]) -> None:
        """What the command that gets piped bounces finds in its environment, beside a VAR_DIR of its own."""
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in environment.items()]
        (self.root / "etc/environment").write_text("".join([*lines, f"VAR_DIR={self.root}/var\n"]))

    def flush(self) -> None:
        """Try again what waits."""
        self._postfix("flush")

    def maildir(self, name: str) -> Path:
        return self.root / "mail" / name

    def log(self) -> str:
        log = self.root / "log" / "mail.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _postfix(self, word: str, *, check: bool = True) -> None:
        command = ["/usr/sbin/postfix", "-c", str(self.root / "etc"), word]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode:
            raise RuntimeError(f"postfix {word}: {done.stderr}{self.log()}")
