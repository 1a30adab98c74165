"""Reports and quality pages in the Airflow UI, behind Airflow's login: /card-usage/.

Airflow does not put a plugin's pages behind its login; these ask for the user themselves. Without one the answer is
401; whoever may not see a hospital's DAG gets 403 for its files. Nothing outside of the reports' store can be named,
and no page may run a script or load anything from elsewhere.

The application is made at the first request: scheduler and DAG processor load this plugin too and need none of it.
"""

import os
from html import escape
from pathlib import PurePosixPath
from typing import Any, Final

PREFIX: Final = "/card-usage"
MOST_DAYS: Final = 62

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".zip": "application/zip",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "same-origin",
}
_STYLE: Final = (
    "body{font:15px/1.7 'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',system-ui,sans-serif;max-width:900px;"
    "margin:24px auto;padding:0 16px;color:#1f2933}h1{font-size:22px}h2{font-size:17px;margin:24px 0 4px}"
    "table{border-collapse:collapse;width:100%}td{border-bottom:1px solid #e4e7eb;padding:4px 8px}"
    "a{color:#0b5cad;margin-right:14px}"
)


class Pages:
    """The application, made when it is first asked for something."""

    def __init__(self) -> None:
        self._application: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._application is None:
            self._application = application()
        await self._application(scope, receive, send)


def application() -> Any:
    """The list of reports, and the files that it leads to."""
    from airflow.api_fastapi.core_api.security import get_user
    from card_usage.errors import BadStorePath, CardUsageError
    from card_usage.settings import Settings
    from fastapi import Depends, FastAPI, HTTPException, Response

    made = FastAPI(title="card usage", docs_url=None, redoc_url=None, openapi_url=None)

    @made.get("/")
    def listing(user: Any = Depends(get_user)) -> Response:  # noqa: B008 - FastAPI's way
        try:
            html = _listing(user)
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(html, media_type=_TYPES[".html"], headers=_HEADERS)

    @made.get("/files/{name:path}")
    def file(name: str, user: Any = Depends(get_user)) -> Response:  # noqa: B008
        hospital_id = PurePosixPath(name).parts[0] if name else ""
        try:
            store = Settings.from_environment(os.environ).store
            media_type = _TYPES.get(PurePosixPath(name).suffix)
            if media_type is None or any(part.startswith(".") for part in name.split("/")):
                raise FileNotFoundError
            if not may_see(user, hospital_id):
                raise HTTPException(403, "this hospital's DAG is not yours to see")
            content = store.read(name)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, BadStorePath):
            raise HTTPException(404, "no such report") from None
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(content, media_type=media_type, headers=_HEADERS)

    return made


def may_see(user: Any, hospital_id: str) -> bool:
    """Whether Airflow lets the user see the hospital's DAG; what belongs to no hospital is for who sees them all."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails

    from card_usage_airflow import fleet

    dag_id = f"report_card_usage__{hospital_id}" if hospital_id in fleet.ids() else "reconcile_card_usage"
    return bool(get_auth_manager().is_authorized_dag(method="GET", user=user, details=DagDetails(id=dag_id)))


def _listing(user: Any) -> str:
    """Hospitals that the user may see, each with its last days and their files."""
    from card_usage.ledger.database import open_ledger
    from card_usage.ledger.schema import report_file
    from card_usage.settings import Settings
    from card_usage.words import Words
    from sqlalchemy import select

    from card_usage_airflow import fleet

    words = Words("zh")
    settings = Settings.from_environment(os.environ)
    parts = []
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        with ledger.read() as connection:
            for hospital in fleet.hospitals():
                if not may_see(user, hospital.id):
                    continue
                query = select(report_file).where(report_file.c.hospital == hospital.id)
                days: dict[str, list[str]] = {}
                for row in connection.execute(query.order_by(report_file.c.day.desc(), report_file.c.kind)):
                    href = f"{PREFIX}/files/{escape(row.path)}"
                    days.setdefault(str(row.day), []).append(
                        f'<a href="{href}">{escape(words.known("file_kind", row.kind))}</a>'
                    )
                lines = [f"<tr><td>{day}</td><td>{''.join(links)}</td></tr>" for day, links in days.items()]
                table = f"<table>{''.join(lines[:MOST_DAYS])}</table>"
                body = table if lines else "<p>" + escape(words("docs.empty")) + "</p>"
                parts.append(f"<h2>{escape(hospital.name)}</h2>{body}")
    finally:
        ledger.close()
    title = escape(words("docs.files"))
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1>{''.join(parts)}</body></html>"
    )
