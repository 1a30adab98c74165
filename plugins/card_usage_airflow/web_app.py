"""Reports and quality pages in the Airflow UI, behind Airflow's login: /card-usage/.

Airflow does not put a plugin's pages behind its login; these ask for the user themselves. Without one the answer is
401; whoever may not see a hospital's DAG gets 403 for its files. Nothing outside of the reports' store can be named,
and no page may run a script or load anything from elsewhere.

The application is made at the first request: scheduler and DAG processor load this plugin too and need none of it.
"""

import json
from pathlib import PurePosixPath
from typing import Any, Final

PREFIX: Final = "/card-usage"
FILES: Final = f"{PREFIX}/files/"
"""Where reports are, by name."""
WRITTEN: Final = "reports"
"""XCom key under which a task tells what it has written."""

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
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "same-origin",
}


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
    from fastapi import Depends, FastAPI, HTTPException, Response

    from card_usage_airflow import task_context
    from card_usage_airflow.report_index import listing, of_run

    made = FastAPI(title="card usage", docs_url=None, redoc_url=None, openapi_url=None)

    @made.get("/")
    def everything(user: Any = Depends(get_user)) -> Response:  # noqa: B008 - FastAPI's way
        try:
            html = listing(lambda hospital_id: may_see(user, hospital_id), PREFIX)
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(html, media_type=_TYPES[".html"], headers=_HEADERS)

    @made.get("/runs/{dag_id}/{run_id}")
    def run(dag_id: str, run_id: str, user: Any = Depends(get_user)) -> Response:  # noqa: B008
        if not may_see_dag(user, dag_id):
            raise HTTPException(403, "this DAG is not yours to see")
        try:
            html = of_run(_written_by(dag_id, run_id), PREFIX)
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(html, media_type=_TYPES[".html"], headers=_HEADERS)

    @made.get("/files/{name:path}")
    def file(name: str, user: Any = Depends(get_user)) -> Response:  # noqa: B008
        hospital_id = PurePosixPath(name).parts[0] if name else ""
        try:
            store = task_context.settings().store
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
    from card_usage_airflow import hospital_files

    return may_see_dag(
        user, f"report_card_usage__{hospital_id}" if hospital_id in hospital_files.ids() else "reconcile_card_usage"
    )


def may_see_dag(user: Any, dag_id: str) -> bool:
    """Whether Airflow lets the user see this DAG."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails

    return bool(get_auth_manager().is_authorized_dag(method="GET", user=user, details=DagDetails(id=dag_id)))


def _written_by(dag_id: str, run_id: str) -> list[str]:
    """Names of the files that the tasks of a run have written, as they told by XCom."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(XComModel.value).where(
        XComModel.dag_id == dag_id, XComModel.run_id == run_id, XComModel.key == WRITTEN
    )
    with create_session() as session:
        told = [json.loads(value) if isinstance(value, str) else value for value in session.scalars(query)]
    return [name for names in told if isinstance(names, list) for name in names if isinstance(name, str)]
