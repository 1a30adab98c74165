"""reladiff over two PostgreSQL databases, run in its own environment: prints how many rows differ, in how many seconds.

python reladiff_compare.py HIS_URL LEDGER_URL
"""

import json
import logging
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from reladiff import connect_to_table, diff_tables  # noqa: E402

from benchmarks.clients.meter import peak  # noqa: E402

COLUMNS = ("source_id", "voided")


def main() -> None:
    logging.disable(logging.WARNING)
    his_url, ledger_url = sys.argv[1:]
    began, cpu = time.perf_counter(), time.process_time()
    his = connect_to_table(his_url, "uses_of_day", "id", extra_columns=COLUMNS)
    ledger = connect_to_table(ledger_url, "events_of_day", "id", extra_columns=COLUMNS)
    found: dict[str, set[str]] = {"+": set(), "-": set()}
    for sign, row in diff_tables(his, ledger, extra_columns=COLUMNS):
        found[sign].add(str(row[0]))
    seconds = time.perf_counter() - began
    differ = len(found["+"] | found["-"])
    print(json.dumps({"seconds": seconds, "differ": differ, "client": time.process_time() - cpu, "peak": peak()}))


if __name__ == "__main__":
    main()
