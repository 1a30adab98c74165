"""Process: how a process that holds something in the ledger is identified, and whether it is certainly gone."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """A process, named so that a later process on the same host can tell whether it is gone."""

    host: str
    pid: int
    process_start: str

    @classmethod
    def of_this_process(cls) -> Identity:
        """Host (with boot and process namespace, so that containers do not confuse each other), pid and start time."""
        namespace = Path("/proc/self/ns/pid")
        inode = str(namespace.readlink()) if namespace.exists() else ""
        host = f"{platform.node()}/{int(psutil.boot_time())}/{inode}"
        return cls(host=host, pid=os.getpid(), process_start=_start(os.getpid()))


def _start(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return ""


def gone(other: Identity, here: Identity) -> bool:
    """Whether a process of this very host certainly no longer runs; False where that cannot be known."""
    if other.host != here.host:
        return False
    return not psutil.pid_exists(other.pid) or _start(other.pid) != other.process_start
