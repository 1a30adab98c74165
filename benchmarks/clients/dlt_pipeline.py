"""Client: dlt with a custom destination, in an environment of its own: extract, normalize, then 64 load jobs that send.

Each job is a file of rows that dlt hands to the destination batch by batch; a session per thread keeps its connection.
No encryption; dlt keeps its state, not ours.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "include")]
WORKERS = int(sys.argv[5])
ROWS = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
# One file of rows for each worker, all workers at once; snake case would rename the document's fields.
os.environ |= {
    "LOAD__WORKERS": str(WORKERS),
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": str(-(-len(ROWS) // WORKERS)),
    "SCHEMA__NAMING": "direct",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
}

import dlt  # noqa: E402 - reads its settings when imported
import requests  # noqa: E402

from benchmarks.clients.meter import metered  # noqa: E402
from benchmarks.clients.signing import signed  # noqa: E402

URL, TOKEN, SECRET = sys.argv[2:5]
here = threading.local()


@dlt.destination(batch_size=50, name="open_platform", naming_convention="direct", skip_dlt_columns_and_tables=True)  # type: ignore[untyped-decorator]
def open_platform(items, table) -> None:  # type: ignore[no-untyped-def]
    """Send each row of a batch; an answer that is not 0 fails the job."""
    session = getattr(here, "session", None)
    if session is None:
        session = here.session = requests.Session()
        session.headers["Content-Type"] = "application/json; charset=utf-8"
    for row in items:
        answer = session.post(URL, data=signed(row, TOKEN, SECRET), timeout=60).json()
        assert answer["commonOut"]["resultCode"] == 0, answer


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        pipeline = dlt.pipeline("card_uses", destination=open_platform, pipelines_dir=home)
        with metered(len(ROWS)):
            pipeline.run(ROWS, table_name="card_use", columns={"time": {"data_type": "text"}}).raise_on_failed_jobs()
