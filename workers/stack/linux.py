"""The few Linux calls that Python has no name for: dying with the parent, and a capability kept without being root.

On other systems nothing here does anything; the stack then only lacks what it needs after a SIGKILL of its supervisor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from enum import IntEnum

PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522
LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


class Capability(IntEnum):
    """What a process may do without being root; the numbers are the kernel's (linux/capability.h)."""

    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    NET_BIND_SERVICE = 10


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when its parent ends, however that happens.

    A change of user clears it, so this comes last before the program starts.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def become(user: int, group: int, kept: frozenset[Capability]) -> None:
    """Turn this process, which must be root's, into one of `user` that keeps only `kept`, also across exec.

    Raises:
        OSError: the kernel refuses; nothing may run after that, since the process may be half changed.
    """
    if kept:
        # Without this bit access(2) judges by the user alone, and PostgreSQL asks it whether it can read itself.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0)
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    if not kept:
        return
    _hold_only(sum(1 << capability for capability in kept))
    for capability in kept:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, second: int, third: int) -> None:
    if _libc is None or _libc.prctl(option, second, third, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _hold_only(bits: int) -> None:
    sets = (_Sets * 2)(_Sets(bits, bits, bits), _Sets(0, 0, 0))
    header = _Header(CAPABILITY_VERSION_3, 0)
    if _libc is None or _libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
