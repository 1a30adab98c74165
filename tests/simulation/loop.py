"""An event loop on virtual time: nothing waits, nothing is random but by its seed, the same seed gives the same run.

Callbacks belong to an owner (a simulated process, by context variable). Those of one owner run in the order in which
they became ready, as asyncio promises; which owner is next is drawn, as an operating system would. An owner can be
stalled: none of its callbacks runs until then, as when a virtual machine is suspended.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

OWNER: contextvars.ContextVar[int] = contextvars.ContextVar("OWNER", default=0)


class Handle:
    """A callback that waits for its turn."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_when", "owner")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None, when: float
    ) -> None:
        self._callback, self._args, self._when = callback, args, when
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self.owner: int = self._context.get(OWNER, 0)

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self._when

    def run(self) -> None:
        if not self._cancelled:
            self._context.run(self._callback, *self._args)


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """Tasks are kept in sets; hashed by address, the order in which a group cancels its tasks would be chance."""

    _made = 0

    def __init__(self, *args: Any, **named: Any) -> None:
        _Task._made += 1
        self._number = _Task._made
        super().__init__(*args, **named)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class Stuck(Exception):
    """Nothing is left to run, yet the end is not reached; or virtual time runs away."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs what asyncio's tasks, futures, locks and time-outs need. `executor` takes the place of threads."""

    def __init__(self, random: Random) -> None:
        self.executor: Callable[..., asyncio.Future[Any]] | None = None
        self.stalled: dict[int, float] = {}
        self.steps = 0
        self._random = random
        self._now = 0.0
        self._number = 0
        self._timers: list[tuple[float, int, Handle]] = []
        self._ready: dict[int, deque[Handle]] = {}
        _Task._made = 0

    # -- what asyncio asks for ----------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tasks of killed workers end unheard; what matters is read from each worker's main task."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        return _Task(coro, loop=self, name=name, context=context)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context, self._now)
        self._make_ready(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context, when)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        assert self.executor is not None
        return self.executor(func, *args)

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, None], *, most_steps: int = 2_000_000) -> None:
        """Run until `main` is done; raises what it raised, or Stuck. What is still under way then never goes on."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                if self.steps > most_steps:
                    raise Stuck(f"{most_steps} steps, virtual time {self._now:.0f} s")
                self._step()
            task.result()
        finally:
            self._throw_out()
            asyncio._set_running_loop(None)

    def _throw_out(self) -> None:
        """End what killed workers and stray calls were in the middle of: each await of theirs is cancelled, those of
        their tidying up too, so that none of them does anything more, and none is left for the garbage collector."""
        while left := asyncio.all_tasks(self):
            for task in left:
                task.cancel()
            ready, self._ready = self._ready, {}
            for queue in ready.values():
                for handle in queue:
                    handle.run()
        self._ready.clear()
        self._timers.clear()

    def _step(self) -> None:
        self.steps += 1
        ready = [owner for owner in self._ready if owner not in self.stalled or self._awake(owner)]
        if not ready:
            self._advance()
            return
        owner = ready[0] if len(ready) == 1 else ready[int(self._random.random() * len(ready))]
        queue = self._ready[owner]
        handle = queue.popleft()
        if not queue:
            del self._ready[owner]
        if not handle._cancelled:
            handle._context.run(handle._callback, *handle._args)

    def _awake(self, owner: int) -> bool:
        if self.stalled[owner] > self._now:
            return False
        del self.stalled[owner]
        return True

    def _advance(self) -> None:
        """On to the next moment at which something happens, and make ready all that is due then."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        moments = [until for owner, until in self.stalled.items() if until > self._now and owner in self._ready]
        if timers:
            moments.append(timers[0][0])
        if not moments:
            raise Stuck(f"nothing left to run at {self._now:.3f} s")
        self._now = max(self._now, min(moments))
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:
                self._make_ready(handle)

    def _make_ready(self, handle: Handle) -> None:
        queue = self._ready.get(handle.owner)
        if queue is None:
            queue = self._ready[handle.owner] = deque()
        queue.append(handle)
