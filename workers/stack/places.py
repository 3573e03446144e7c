"""Where the local stack keeps its things: data, logs and sockets below one home, and the addresses that follow."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from workers.stack.errors import StackError

# A Unix socket's path ends at 107 bytes on Linux and at 103 on macOS.
LONGEST_SOCKET_PATH = 103
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)
USER = DATABASE = "bellwire"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and addresses of one home; `home` is absolute."""

    home: Path

    @classmethod
    def of(cls, home: Path) -> Places:
        """The places of a home that may be given relative to the working directory."""
        return cls(Path(os.path.abspath(home.expanduser())))

    @property
    def postgres(self) -> Path:
        return self.home / "postgres"

    @property
    def valkey(self) -> Path:
        return self.home / "valkey"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process ids, and the sockets unless the home is too deep for them."""
        return self.home / "run"

    @property
    def sockets(self) -> Path:
        """The folder of the sockets: `run`, or a short private one when that is too long or needs quoting in a URL."""
        longest = len(os.fsencode(self.run / LONGEST_SOCKET_NAME))
        if longest <= LONGEST_SOCKET_PATH and PLAIN_PATH.fullmatch(str(self.run)):
            return self.run
        # Not $TMPDIR: another terminal with another value must find the same sockets.
        return Path("/tmp") / f"bellwire-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]}"  # noqa: S108

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def database_url(self) -> str:
        return self.database_url_of(DATABASE)

    def database_url_of(self, database: str) -> str:
        """The address of any database of this home's PostgreSQL."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets))}"

    @property
    def redis_url(self) -> str:
        """Valkey for live fan-out, limits and breakers: database 1, so that emptying one leaves the other."""
        return f"unix://{self.valkey_socket}?db=1"

    @property
    def broker_url(self) -> str:
        """Valkey as the broker: database 0, which is the one that programs take when nobody names another."""
        return f"redis+socket://{self.valkey_socket}"

    def make(self) -> None:
        """Create what is missing, private to this user.

        Raises:
            StackError: the home or the sockets' folder cannot be used by this user.
        """
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.logs, self.run, self.valkey):
                folder.mkdir(mode=0o700, exist_ok=True)
            self.sockets.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{self.home} cannot hold Bellwire's data: {error.strerror}. Set BELLWIRE_HOME to a folder that can."
            ) from None
        found = self.sockets.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StackError(
                f"{self.sockets} belongs to somebody else or is open to others; "
                "remove it or set BELLWIRE_HOME to a shorter path."
            )

    @property
    def keeps_previews(self) -> bool:
        """Whether the stack that was started last keeps the messages of channels without a provider."""
        return (self.run / "previews").exists()

    def note_previews(self, kept: bool) -> None:
        """Note it for commands, which do not see the settings that the stack was started with."""
        if kept:
            (self.run / "previews").touch()
        else:
            (self.run / "previews").unlink(missing_ok=True)

    @property
    def published_keys(self) -> str | None:
        """Where the keys of users' tokens are, when the stack that was started last signs none itself."""
        file = self.run / "jwks.url"
        return file.read_text(encoding="utf-8") if file.exists() else None

    def note_published_keys(self, url: str | None) -> None:
        """Note it for commands: a token signed with a secret of ours would be refused."""
        if url:
            (self.run / "jwks.url").write_text(url, encoding="utf-8")
        else:
            (self.run / "jwks.url").unlink(missing_ok=True)

    def leave(self) -> None:
        """Remove the folder of the sockets if it lies outside the home; the stack has stopped."""
        if self.sockets != self.run:
            shutil.rmtree(self.sockets, ignore_errors=True)
