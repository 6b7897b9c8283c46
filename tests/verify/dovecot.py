"""A private Dovecot: IMAP with and without TLS, one mailbox, a password or a token that it verifies."""

import base64
import hashlib
import hmac
import imaplib
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

PROGRAM = Path("/usr/sbin/dovecot")
USER = "bounces@sender.test"
PASSWORD = 'p"ss \\ wörd'
CONF = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {owner}
default_internal_group = {group}
default_login_user = {owner}
auth_mechanisms = plain xoauth2
disable_plaintext_auth = yes
ssl = yes
ssl_cert = <{root}/certificate.pem
ssl_key = <{root}/key.pem
mail_location = maildir:{root}/mail
first_valid_uid = 1
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {root}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain
  args = {root}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/home
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain_port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
auth_failure_delay = 0
service anvil {{
  chroot =
  # Otherwise each wrong password makes the next answer later.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""
OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={root}/keys/
username_attribute = sub
client_id = notifier
"""
SIGNING_KEY = b"a key of thirty-two octets, or so"


def missing() -> str:
    """Why Dovecot can't run here; empty where it can."""
    if not PROGRAM.exists():
        return "Dovecot is not installed (on Debian: apt-get install dovecot-imapd)."
    return "" if os.geteuid() == 0 else "Dovecot has to be started by root."


def token(user: str = USER, *, key: bytes = SIGNING_KEY, seconds: int = 300) -> str:
    """An access token: a JWT of HS256."""
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + seconds, "azp": "notifier", "aud": "notifier"}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def _part(value: Any) -> str:
    return _base64(json.dumps(value).encode())


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Dovecot:
    """`certificate` and `key`: PEM. Not `checked`: no client may trust the certificate."""

    def __init__(
        self, plain_port: int, tls_port: int, certificate: bytes, key: bytes, *, checked: bool = True
    ) -> None:
        self._checked = checked
        self.plain_port, self.tls_port = plain_port, tls_port
        self.root = Path(tempfile.mkdtemp(prefix="dovecot-", dir="/var/tmp"))
        self.root.chmod(0o755)
        owner = pwd.getpwnam("nobody")
        for name in ("run", "state", "home", "keys/notifier/HS256"):
            (self.root / name).mkdir(parents=True)
        shutil.chown(self.root / "home", owner.pw_uid, owner.pw_gid)
        shutil.chown(self.root, owner.pw_uid, owner.pw_gid)
        self.ca_file = self.root / "certificate.pem"
        self.ca_file.write_bytes(certificate)
        (self.root / "key.pem").write_bytes(key)
        (self.root / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        (self.root / "keys/notifier/HS256/default").write_bytes(base64.b64encode(SIGNING_KEY))
        (self.root / "oauth2.conf").write_text(OAUTH2.format(root=self.root))
        (self.root / "dovecot.conf").write_text(
            CONF.format(
                root=self.root, uid=owner.pw_uid, gid=owner.pw_gid, owner="dovenull", group="dovecot",
                plain_port=plain_port, tls_port=tls_port,
            )
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        self._process = subprocess.Popen([PROGRAM, "-F", "-c", self.root / "dovecot.conf"])
        deadline = time.monotonic() + 30
        while True:
            try:
                if self._checked:
                    self.client().logout()
                else:
                    socket.create_connection(("127.0.0.1", self.tls_port), 10).close()
            except (OSError, imaplib.IMAP4.error):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(self.log()) from None
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """It ends its own children."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def client(self) -> imaplib.IMAP4_SSL:
        """A person's own mail program, logged in."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        client = imaplib.IMAP4_SSL("localhost", self.tls_port, ssl_context=context, timeout=10)
        try:
            client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        except BaseException:
            client.shutdown()
            raise
        return client

    def log(self) -> str:
        log = self.root / "log"
        return log.read_text(errors="replace") if log.exists() else ""
