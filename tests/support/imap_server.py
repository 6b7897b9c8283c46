"""An IMAP server of one folder without TLS, whose answers a test may script.

    with ScriptedImapServer() as server:
        server.deliver(b"...")
        server.scripts["FETCH 2"] = b"* BYE I am ill\r\n"

A script is what the server sends instead of its own answer: to a command ("SELECT"), or to a command for one UID
("FETCH 2"), each time. `{tag}` in it is the command's tag. It may also be a function that gets the connection and the
tag; one that returns None hangs up.
"""

import base64
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Self

USER = "bounces"
PASSWORD = "secret"
Script = bytes | Callable[[socket.socket, bytes], bytes | None]


class ScriptedImapServer:
    """`folders`: what was moved where. `commands`: what was sent, without tags. `token`: what XOAUTH2 takes."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.mails: dict[int, bytes] = {}
        self.flags: defaultdict[int, set[str]] = defaultdict(set)
        self.folders: dict[str, list[bytes]] = {}
        self.capabilities = "IMAP4rev1 AUTH=PLAIN MOVE UIDPLUS"
        self.uid_validity = 1
        self.commands: list[str] = []
        self.token = ""
        self.refused = 0
        self._next = 1
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown wakes the thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Every client's connection ends."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def refuse(self, client: socket.socket, tag: bytes) -> None:
        """A script for "greeting": it hangs up, and counts how often."""
        self.refused += 1

    def deliver(self, octets: bytes) -> int:
        self.mails[self._next] = octets
        self._next += 1
        return self._next - 1

    def url(self, **options: str) -> str:
        options = {"tls": "none", "password_env": "IMAP_PASSWORD", "every": "1", **options}
        return f"imap://{USER}@127.0.0.1:{self.port}/INBOX?" + "&".join(
            f"{k}={v}" for k, v in options.items()
        )

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def _converse(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines, suppress(OSError):
            if not self._say(client, "greeting", b"", b"* OK ready\r\n"):
                return
            for line in lines:
                tag, _, command = line.strip().partition(b" ")
                text = command.decode("utf-8", "replace")
                self.commands.append(text)
                verb, arguments = self._verb(text)
                names = (f"{verb} {arguments.split()[0]}" if arguments else verb, verb)
                name = next((one for one in names if one in self.scripts), names[0])
                if name in self.scripts:
                    if not self._say(client, name, tag, b""):
                        return
                    continue
                if verb == "AUTHENTICATE":
                    client.sendall(b"+ \r\n")
                    arguments += " " + lines.readline().strip().decode()
                client.sendall(self._answer(verb, arguments, tag))

    def _say(self, client: socket.socket, name: str, tag: bytes, own: bytes) -> bool:
        script = self.scripts.get(name, own)
        octets = script if isinstance(script, bytes) else script(client, tag)
        if octets is None:
            return False
        client.sendall(octets.replace(b"{tag}", tag))
        return True

    @staticmethod
    def _verb(command: str) -> tuple[str, str]:
        first, _, rest = command.partition(" ")
        if first.upper() == "UID":
            first, _, rest = rest.partition(" ")
        return first.upper(), rest

    def _answer(self, verb: str, arguments: str, tag: bytes) -> bytes:
        untagged, done = b"", f"OK {verb} done"
        if verb == "CAPABILITY":
            untagged = f"* CAPABILITY {self.capabilities}\r\n".encode()
        elif verb == "AUTHENTICATE":
            done = "OK in" if self._knows(arguments) else "NO [AUTHENTICATIONFAILED] wrong"
        elif verb == "SELECT":
            untagged = f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY {self.uid_validity}] x\r\n".encode()
            done = "OK [READ-WRITE] SELECT done"
        elif verb == "SEARCH":
            untagged = f"* SEARCH {' '.join(map(str, self._found(arguments)))}\r\n".encode()
        elif verb == "FETCH":
            untagged = self._part(int(arguments.split()[0]))
        elif verb == "STORE":
            uid, _, flags = arguments.partition(" ")
            self.flags[int(uid)] |= set(re.findall(r"\\\w+", flags))
        elif verb in ("MOVE", "COPY"):
            done = self._moved(verb, *arguments.split(" ", 1))
        elif verb == "EXPUNGE":
            self.mails.pop(int(arguments), None)
        elif verb == "CREATE":
            self.folders[arguments.strip('"')] = []
        return untagged + tag + f" {done}\r\n".encode()

    def _knows(self, arguments: str) -> bool:
        mechanism, _, answer = arguments.partition(" ")
        decoded = base64.b64decode(answer).decode()
        if mechanism == "XOAUTH2":
            return decoded == f"user={USER}\1auth=Bearer {self.token}\1\1"
        return decoded == f"\0{USER}\0{PASSWORD}"

    def _found(self, criteria: str) -> list[int]:
        first, last = re.search(r"UID (\d+):(\d+|\*)", criteria).groups()
        highest = max(self.mails, default=0)
        low, high = sorted((int(first), highest if last == "*" else int(last)))
        unwanted = {"\\Deleted", "\\Seen"} if "UNSEEN" in criteria else {"\\Deleted"}
        return [uid for uid in sorted(self.mails) if low <= uid <= high and not self.flags[uid] & unwanted]

    def _part(self, uid: int) -> bytes:
        if uid not in self.mails:
            return b""
        octets = self.mails[uid][: 256 * 1024]
        return b"* 1 FETCH (UID %d BODY[]<0> {%d}\r\n%b)\r\n" % (uid, len(octets), octets)

    def _moved(self, verb: str, uid: str, folder: str) -> str:
        name = folder.strip('"')
        if name not in self.folders:
            return "NO [TRYCREATE] no such folder"
        if int(uid) in self.mails:
            self.folders[name].append(self.mails[int(uid)])
            if verb == "MOVE":
                self.mails.pop(int(uid))
        return f"OK {verb} done"
