"""Tables and views of the demo HIS, as Winning THIS4 names them; columns beyond the well-known ones are marked.

Dates are char(16) `yyyymmddhh:mm:ss`. jlzt (record state): 0 valid, 1 returned or refunded, 2 the reversal of another
row, 8 pre-registered. A refund turns the old row to 1 and adds a negative row with 2. GH_NGHZDK, SF_NBRJSK and
SF_NMZCFK are the year tables; a nightly job moves rows there, and VW_GHZDK, VW_MZBRJSK and VW_MZCFK put both together.

Names go to the database unquoted, so that SQL written without quotes finds them on every database.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    CompoundSelect,
    Connection,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    inspect,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects import mssql
from sqlalchemy.schema import CreateView
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import CHAR, TypeEngine

metadata = MetaData()


def _plain(name: str) -> quoted_name:
    return quoted_name(name, quote=False)


def _chinese(length: int) -> TypeEngine[str]:
    """varchar in CP936 on SQL Server, as these databases have it."""
    return String(length).with_variant(mssql.VARCHAR(length, collation="Chinese_PRC_CI_AS"), "mssql")


def _moment() -> TypeEngine[str]:
    return CHAR(16)


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(_plain(name), metadata, *columns)


def _column(name: str, kind: TypeEngine[Any], **options: Any) -> Column[Any]:
    return Column(_plain(name), kind, **options)


def _key(name: str, kind: TypeEngine[Any]) -> Column[Any]:
    return _column(name, kind, primary_key=True, autoincrement=False)


def _presented() -> tuple[Column[Any], ...]:
    """How the card was used: card type, channel, insurance type. Local codes."""
    return _column("cardtype", String(4)), _column("qdlx", String(4)), _column("ybdm", String(4))


def _registration(name: str) -> Table:
    return _table(
        name,
        _key("xh", BigInteger()),
        _column("patid", BigInteger()),
        _column("hzxm", _chinese(64)),
        _column("cardno", String(32)),
        _column("ghrq", _moment()),
        _column("ksdm", String(8)),
        _column("ghfs", Integer()),  # 0 on the day, 1 appointment, 2 taking the number of an appointment
        _column("jlzt", Integer()),
        _column("txh", BigInteger()),  # of a reversal: xh of the row that it takes back
        *_presented(),
    )


def _settlement(name: str) -> Table:
    return _table(
        name,
        _key("sjh", String(20)),
        _column("patid", BigInteger()),
        _column("sfrq", _moment()),
        _column("sfksdm", String(8)),
        _column("zje", Numeric(12, 2, asdecimal=False)),
        _column("ybjszt", Integer()),  # 0 open, 1 pre-settled with the insurance, 2 settled
        _column("tsjh", String(20)),
        _column("jlzt", Integer()),
        _column("ghsfbz", Integer()),  # 0 registration fee, 1 charge
        *_presented(),
    )


def _prescription(name: str) -> Table:
    return _table(
        name,
        _key("xh", BigInteger()),
        _column("jssjh", String(20)),
        _column("patid", BigInteger()),
        _column("ksdm", String(8)),
        _column("fybz", Integer()),  # 0 waiting at the pharmacy, 1 handed out
        _column("fyrq", _moment()),
        _column("jlzt", Integer()),
        *_presented(),
    )


def _report(name: str) -> Table:
    return _table(
        name,
        _key("repno", String(20)),
        _column("patid", BigInteger()),
        _column("sqksdm", String(8)),
        _column("pubtime", _moment()),  # handed to the patient, at a machine, a window or on the phone
        _column("jlzt", Integer()),
        *_presented(),
    )


SF_BRXXK = _table(
    "SF_BRXXK",
    _key("patid", BigInteger()),
    _column("blh", String(20)),
    _column("hzxm", _chinese(64)),
    _column("sex", _chinese(4)),
    _column("birth", CHAR(8)),
    _column("sfzh", _chinese(40)),
    _column("cardno", String(32)),
    _column("cardtype", String(4)),
    _column("mzbm", String(2)),  # nation, GB/T 3304
    _column("lxdz", _chinese(128)),
    _column("lxdh", String(20)),
)
XT_BRWX = _table(
    "xt_brwx",
    _key("brid", BigInteger()),
    _column("openId", String(32)),
)
"""Who follows the hospital's service account."""
XT_BRXX = _table(
    "xt_brxx",
    _key("id", BigInteger()),
    _column("brid", BigInteger()),
    _column("xm", _chinese(64)),
    _column("sfzh", _chinese(40)),
    _column("healthCardId", String(64)),
    _column("qrCodeText", String(128)),
)
YY_KSBMK = _table("YY_KSBMK", _key("id", String(8)), _column("name", _chinese(64)))
GH_GHZDK = _registration("GH_GHZDK")
GH_NGHZDK = _registration("GH_NGHZDK")
SF_BRJSK = _settlement("SF_BRJSK")
SF_NBRJSK = _settlement("SF_NBRJSK")
SF_MZCFK = _prescription("SF_MZCFK")
SF_NMZCFK = _prescription("SF_NMZCFK")
YY_JZBRYJK = _table(
    "YY_JZBRYJK",
    _key("xh", BigInteger()),
    _column("patid", BigInteger()),
    _column("lrrq", _moment()),
    _column("jje", Numeric(12, 2, asdecimal=False)),
    _column("jlzt", Integer()),
    *_presented(),
)
YJ_JCBGK = _report("YJ_JCBGK")
YJ_JYBGK = _report("YJ_JYBGK")

DEMO_HIS_DAY = Table(
    "demo_his_day",
    metadata,
    Column("day", CHAR(10), primary_key=True),
    Column("seed", Integer, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("late_arrived", Integer, nullable=False),
    Column("expectation", Text, nullable=False),
    Column("late_refunds", Text, nullable=False),
)
"""Our own notes, one row a day: what was invented, so that a second call knows it is there."""

for _table_, _of in (
    (GH_GHZDK, "ghrq"),
    (GH_NGHZDK, "ghrq"),
    (SF_BRJSK, "sfrq"),
    (SF_NBRJSK, "sfrq"),
    (SF_MZCFK, "fyrq"),
    (SF_NMZCFK, "fyrq"),
    (YY_JZBRYJK, "lrrq"),
    (YJ_JCBGK, "pubtime"),
    (YJ_JYBGK, "pubtime"),
    (XT_BRXX, "brid"),
):
    Index(f"ix_{_table_.name.lower()}_{_of}", _table_.c[_of])

_REPORTS: Final = ((YJ_JCBGK, "JC"), (YJ_JYBGK, "JY"))
VIEWS: Final[Mapping[str, CompoundSelect[Any]]] = {
    "VW_GHZDK": union_all(select(GH_GHZDK), select(GH_NGHZDK)),
    "VW_MZBRJSK": union_all(select(SF_BRJSK), select(SF_NBRJSK)),
    "VW_MZCFK": union_all(select(SF_MZCFK), select(SF_NMZCFK)),
    "VW_YJ_REPORT": union_all(*(select(table, literal_column(f"'{kind}'").label("replb")) for table, kind in _REPORTS)),
}


def prepare(connection: Connection) -> None:
    """Create what is not there yet: tables, indexes, views."""
    inspector = inspect(connection)
    tables = {name.lower() for name in inspector.get_table_names()}
    views = {name.lower() for name in inspector.get_view_names()}
    for table in metadata.sorted_tables:
        if table.name.lower() not in tables:
            table.create(connection)
            continue
        # By a query, not by the catalogue: what stands in for a SQL Server has little of one.
        columns = connection.execute(select(text("*")).select_from(text(table.name)).where(text("1 = 0"))).keys()
        known = {name.lower() for name in columns}
        for column in table.columns:
            if column.name.lower() not in known:  # a demo of an earlier version
                kind = column.type.compile(connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD {column.name} {kind}")
    for name, query in VIEWS.items():
        if name.lower() not in views:
            connection.execute(CreateView(query, _plain(name)))
