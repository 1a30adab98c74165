"""A look-alike SQL Server: TDS 7.2 to 7.4 on a socket, a small T-SQL engine on SQLite behind it.

Made so that tests drive the real client (pymssql, FreeTDS) through SQLAlchemy without a SQL Server, and so that the
wire can be broken on purpose. What it speaks is read from MS-TDS; what it does not, docs/his-over-the-wire.md says.

    with LookAlike(tmp_path / "this4.db") as server:
        demo_his.create(server.url(), [day], 2000)
        server.faults.add(Drop(after_rows=100))
        Source(connect(server.url("reader")), hospital)
"""

from tds.faults import Drop, Fails, Faults, Slow, Stalls
from tds.releases import RELEASES
from tds.server import LookAlike, Said

__all__ = ["RELEASES", "Drop", "Fails", "Faults", "LookAlike", "Said", "Slow", "Stalls"]
