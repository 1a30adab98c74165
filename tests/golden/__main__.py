"""Write the golden record anew, or at full length into a folder (see the package's docstring)."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

# Run as `python -m tests.golden` from the project's root, and imported by tests as `golden`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from golden.record import compute
from golden.written import RECORDED, written


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--full", type=Path, metavar="DIR", help="write nothing anew; everything at full length to DIR")
    folder = parser.parse_args().full
    logging.disable(logging.CRITICAL)
    target = folder or RECORDED
    target.mkdir(parents=True, exist_ok=True)
    topics = compute()
    for stale in target.glob("*.json"):
        stale.unlink()
    for topic, value in topics.items():
        path = target / f"{topic}.json"
        path.write_text(written(value, full=folder is not None), encoding="utf-8")
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
