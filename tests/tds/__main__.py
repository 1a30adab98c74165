"""`python -m tds`: the look-alike in a process of its own, over a SQLite file that is there already.

    PYTHONPATH=tests python -m tds --database var/his.db --spool var/spool

Prints `tds: mssql+pymssql://...` when it listens, and serves until it is ended. Tables that SQLite made itself compare
byte by byte; types are those of their declarations.
"""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from tds.releases import RELEASES
from tds.server import LookAlike


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m tds", description="A look-alike SQL Server.")
    parser.add_argument("--database", type=Path, required=True, help="a SQLite file")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--spool", type=Path, help="a folder in which answers are kept, so that asking again is free")
    parser.add_argument("--release", choices=RELEASES, default="2019", help="which SQL Server it is like")
    arguments = parser.parse_args()
    if arguments.spool:
        arguments.spool.mkdir(parents=True, exist_ok=True)
    with LookAlike(arguments.database, port=arguments.port, spool=arguments.spool, release=arguments.release) as server:
        print(f"tds: {server.url()}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
