"""Web app: reports and quality pages in the Airflow UI, below /card-usage/, behind Airflow's login.

Airflow does not require a login for a plugin's FastAPI app; this one requires the user itself. Without a login the
answer is 401; a user who may not see a hospital's DAG gets 403 for its files. Only files of the reports' store can be
requested, and pages can neither run scripts nor load anything from elsewhere.

The application is created at the first request: scheduler and DAG processor load this plugin too, but never need it.
"""

import json
from errno import EINVAL, ELOOP, ENAMETOOLONG
from pathlib import PurePosixPath
from typing import Any, Final

from card_usage_airflow.access import dag_of

PREFIX: Final = "/card-usage"
FILES: Final = f"{PREFIX}/files/"
"""Path of the reports; the name in the store follows."""
WRITTEN: Final = "reports"
"""XCom key of the names of the files that a task has written."""

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
    """An ASGI application that is created at its first request."""

    def __init__(self) -> None:
        self._application: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._application is None:
            self._application = application()
        await self._application(scope, receive, send)


def application() -> Any:
    """The FastAPI application: the index of reports, a run's files, and the files themselves."""
    from airflow.api_fastapi.core_api.security import get_user
    from card_usage.errors import BadStorePath, CardUsageError
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    from card_usage_airflow import task_context
    from card_usage_airflow.report_index import index_page, run_page, viewings_page

    app = FastAPI(title="card usage", docs_url=None, redoc_url=None, openapi_url=None)

    def viewer(request: Request, user: Any = Depends(get_user)) -> Any:  # noqa: B008 - as FastAPI declares dependencies
        request.state.viewer = user
        return user

    @app.middleware("http")
    async def record(request: Request, call_next: Any) -> Any:
        """Record what an authenticated user asked for and was answered, before it is answered."""
        answer = await call_next(request)
        user = getattr(request.state, "viewer", None)
        if user is None:
            return answer
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        try:
            await run_in_threadpool(_record_viewing, user, path, answer.status_code)
        except CardUsageError as problem:
            return JSONResponse({"detail": f"not shown, for it cannot be recorded: {problem}"}, 503)
        return answer

    @app.get("/viewings")
    def viewed_by(user: Any = Depends(viewer)) -> Response:  # noqa: B008
        if not may_audit(user):
            raise HTTPException(403, "who viewed what is for auditors: it needs the right to Airflow's audit log")
        try:
            html = viewings_page(PREFIX)
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(html, media_type=_TYPES[".html"], headers=_HEADERS)

    @app.get("/")
    def everything(user: Any = Depends(viewer)) -> Response:  # noqa: B008
        try:
            html = index_page(lambda hospital_id: may_see(user, hospital_id), PREFIX)
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(html, media_type=_TYPES[".html"], headers=_HEADERS)

    @app.get("/runs/{dag_id}/{run_id}")
    def run(dag_id: str, run_id: str, user: Any = Depends(viewer)) -> Response:  # noqa: B008
        if not may_see_dag(user, dag_id):
            raise HTTPException(403, "this DAG is not yours to see")
        try:
            html = run_page(_written_by(dag_id, run_id), PREFIX)
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(html, media_type=_TYPES[".html"], headers=_HEADERS)

    @app.get("/files/{name:path}")
    def file(name: str, user: Any = Depends(viewer)) -> Response:  # noqa: B008
        try:
            store = task_context.page_settings().store
            media_type = _TYPES.get(PurePosixPath(name).suffix)
            if media_type is None or any(part.startswith(".") for part in name.split("/")):
                raise FileNotFoundError
            if not all(may_see(user, one) for one in hospitals_in(store, name)):
                raise HTTPException(403, "these hospitals' DAGs are not all yours to see")
            content = store.read(name)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, BadStorePath):
            raise HTTPException(404, "no such report") from None
        except OSError as problem:  # a name that the file system cannot have, too, if the store is inside a long path
            if problem.errno in (ENAMETOOLONG, EINVAL, ELOOP):
                raise HTTPException(404, "no such report") from None
            raise HTTPException(503, f"the reports cannot be read ({type(problem).__name__})") from None
        except CardUsageError as problem:
            raise HTTPException(503, str(problem)) from None
        return Response(content, media_type=media_type, headers=_HEADERS)

    return app


def hospitals_in(store: Any, name: str) -> list[str]:
    """Ids of the hospitals of which a file says something: of a region's page those that its JSON lists, whatever their
    files say today. Raises FileNotFoundError, BadStorePath, OSError.
    """
    from card_usage.report.publish import REGION_FOLDER

    folder, _, file = name.rpartition("/")
    if not name.startswith(REGION_FOLDER):
        return [name.partition("/")[0]]
    page = json.loads(store.read(f"{folder}/{file.partition('.')[0]}.json"))
    return [str(one["id"]) for one in page["hospitals"]]


def may_see(user: Any, hospital_id: str) -> bool:
    """Whether the user may see the hospital's DAG; for files of no hospital, the DAG `reconcile_card_usage`."""
    from card_usage_airflow import hospital_files

    return may_see_dag(user, dag_of(hospital_id) if hospital_id in hospital_files.ids() else "reconcile_card_usage")


def may_audit(user: Any) -> bool:
    """Whether Airflow lets the user read its audit log: of all, so of the views of every hospital."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    return bool(get_auth_manager().is_authorized_dag(method="GET", user=user, access_entity=DagAccessEntity.AUDIT_LOG))


def _record_viewing(user: Any, path: str, status: int) -> None:
    import re
    from datetime import UTC, datetime

    from card_usage.ledger.viewings import Viewing, note
    from card_usage.standard.misplaced import by_shape

    from card_usage_airflow import task_context

    # What somebody types into an address may name a patient; what pages link to has neither such numbers nor Chinese.
    def may_show(part: str) -> bool:
        return part.isascii() and not by_shape(part) and re.search(r"\d{15}", part) is None

    path = "/".join(part if may_show(part) else "(masked)" for part in path.split("/"))
    who = str(user.get_name() or user.get_id()) if hasattr(user, "get_name") else str(user)
    note(task_context.page_settings().ledger_url, Viewing(who, path, status, datetime.now(UTC)))


def may_see_dag(user: Any, dag_id: str) -> bool:
    """Whether Airflow lets the user see this DAG."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails

    return bool(get_auth_manager().is_authorized_dag(method="GET", user=user, details=DagDetails(id=dag_id)))


def _written_by(dag_id: str, run_id: str) -> list[str]:
    """Names of the files that the tasks of a run have written, from XCom."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(XComModel.value).where(
        XComModel.dag_id == dag_id, XComModel.run_id == run_id, XComModel.key == WRITTEN
    )
    with create_session() as session:
        told = [json.loads(value) if isinstance(value, str) else value for value in session.scalars(query)]
    return [name for names in told if isinstance(names, list) for name in names if isinstance(name, str)]
