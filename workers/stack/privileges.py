"""Nothing of the stack runs as root: PostgreSQL refuses to, and nothing else needs it.

A process of root's turns itself into one of another user before anything starts. Outside the home it changes nothing.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterable
from pathlib import Path

from config.settings import environment_file
from workers.stack.errors import StackError
from workers.stack.linux import Capability, become

ACCOUNT = "nobody"
# Tried in this order: none; read and search everything; what a container's root usually has in its place.
LEVELS = (
    frozenset[Capability](),
    frozenset({Capability.DAC_READ_SEARCH}),
    frozenset({Capability.DAC_OVERRIDE}),
)


def leave_root(home: Path, programs: Iterable[Path], *, low_port: bool = False) -> None:
    """Return at once unless root's; otherwise start this program anew, in the same process, as the owner of `home`.

    Args:
        home: made and given to the other user if it is new or empty; a home of another user is run as that user.
        programs: what must be readable besides Python itself.
        low_port: whether a port below 1024 must be bound.

    Raises:
        StackError: the home holds something else, or the other user cannot be made to reach it.
    """
    if os.geteuid() != 0:
        return
    user, group = _owner(home)
    needed = (*programs, *_python(), home, Path.cwd(), environment_file().absolute())
    ports = frozenset({Capability.NET_BIND_SERVICE}) if low_port else frozenset[Capability]()
    kept = next((level for level in LEVELS if _reaches(user, group, level | ports, needed)), None)
    if kept is None:
        raise StackError(
            f"Bellwire does not run as root, and no other user can read {Path.cwd()}, {home} or {sys.executable}: "
            "move them to a place that others may enter (BELLWIRE_HOME sets the home), or start it as an ordinary user."
        )
    become(user, group, kept | ports)
    _know_the_user(user)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same program, with fewer rights


def _owner(home: Path) -> tuple[int, int]:
    """Who runs the stack: the owner of `home`, or an unprivileged account that becomes its owner."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.stat()
    if found.st_uid != 0:
        return found.st_uid, found.st_gid
    if any(home.iterdir()):
        raise StackError(
            f"{home} belongs to root and is not empty; set BELLWIRE_HOME to a folder that is new or empty."
        )
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise StackError(
            f"Bellwire does not run as root and there is no user {ACCOUNT}; start it as an ordinary user."
        ) from None
    os.chown(home, account.pw_uid, account.pw_gid)
    return account.pw_uid, account.pw_gid


def _python() -> Iterable[Path]:
    """The interpreter, its library and every place modules come from."""
    return (Path(sys.executable), Path(os.__file__), *(Path(entry) for entry in sys.path if entry))


def _reaches(user: int, group: int, kept: frozenset[Capability], needed: Iterable[Path]) -> bool:
    """Whether a process of `user` with the capabilities `kept` can read every path that exists; tried in a child."""
    paths = [path for path in needed if path.exists()]
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        become(user, group, kept)
        # Programs must be executable for PostgreSQL to find itself; folders must be searchable.
        possible = all(os.access(path, os.R_OK | (os.X_OK if path.stat().st_mode & 0o111 else 0)) for path in paths)
        os._exit(0 if possible else 1)
    except BaseException:
        os._exit(1)


def _know_the_user(user: int) -> None:
    """Libraries that ask for the user's name or folder read these first; root's would lead them astray."""
    try:
        account = pwd.getpwuid(user)
    except KeyError:
        os.environ.update(HOME="/", USER=str(user), LOGNAME=str(user))
        return
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
