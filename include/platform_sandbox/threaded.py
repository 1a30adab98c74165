"""A sandbox in a background thread, for tests and benchmarks: a real server on a real port, stopped at the end."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from platform_sandbox.accepted import Record
from platform_sandbox.faults import Faults
from platform_sandbox.platform import Sandbox
from platform_sandbox.server import HttpServer, new_event_loop
from platform_sandbox.settings import Config

T = TypeVar("T")


class RunningSandbox:
    """A sandbox that listens at `url` (http://127.0.0.1:PORT). Every method may be called from any thread."""

    def __init__(self, sandbox: Sandbox, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self._sandbox = sandbox
        self._loop = loop
        self.url = url
        self.config = sandbox.config

    def counts(self, hospital_id: str | None = None, day: str | None = None) -> dict[str, object]:
        """As GET /sandbox/counts."""
        return self._ask(lambda: self._sandbox.counts(hospital_id, day))

    def statement(self, hospital_id: str | None = None, day: str | None = None) -> str:
        """As GET /sandbox/statement, as text."""
        return self._ask(lambda: self._sandbox.accepted.statement(hospital_id, day))

    def accepted(self) -> list[Record]:
        """What was accepted, in order of arrival."""
        return self._ask(lambda: list(self._sandbox.accepted.records))

    def faults(self, **changes: float | int | bool) -> Faults:
        """Set some faults anew, or none; those now in force. FaultError for one that cannot be."""

        def change() -> Faults:
            faults = self._sandbox.dice.faults.changed(changes)
            self._sandbox.load(faults)
            return faults

        return self._ask(change)

    def calm(self) -> None:
        """No faults at all from now on."""
        self._ask(lambda: self._sandbox.load(Faults()))

    def evict(self, app_id: str | None = None) -> int:
        """Somebody else fetches a token: the one in use dies."""
        return self._ask(lambda: self._sandbox.evict(app_id))

    def reset(self) -> None:
        """As freshly started."""
        self._ask(self._sandbox.reset)

    def _ask(self, question: Callable[[], T]) -> T:
        answer: Future[T] = Future()

        def reply() -> None:
            try:
                answer.set_result(question())
            except Exception as error:
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(reply)
        return answer.result()


@contextlib.contextmanager
def serve(config: Config | None = None, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[RunningSandbox]:
    """Run a sandbox in a thread of its own while the block lasts. JournalError or OSError if it cannot start."""
    started: Future[RunningSandbox] = Future()
    stopping = asyncio.Event()

    async def run() -> None:
        sandbox = Sandbox(config)
        try:
            server = HttpServer(sandbox, host=host, port=port)
            await server.start()
            started.set_result(RunningSandbox(sandbox, server.url, asyncio.get_running_loop()))
            await stopping.wait()
            await server.stop()
        finally:
            sandbox.close()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(run())
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=work, name="platform sandbox", daemon=True)
    thread.start()
    running = started.result()
    try:
        yield running
    finally:
        running._loop.call_soon_threadsafe(stopping.set)
        thread.join()
