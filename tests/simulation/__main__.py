"""Run seeds, replay one with a trace, or break the delivery on purpose (see the package's docstring)."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

# Run as `python -m tests.simulation` from the project's root, and imported by tests as `simulation`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from simulation.scenario import Scenario

REPLAY = "python -m tests.simulation --seed {seed} --trace"


def settle_in() -> None:
    """What a process does before it plays worlds, which are full of cycles and short-lived: they are looked through
    for garbage once in a while, and without what the process holds anyway."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 5, 1_000)


def play(seed: int, rough: bool = False) -> tuple[int, str, Counter[str]]:
    """One seed: its number, what was violated ('' if nothing), and what it exercised."""
    scenario = Scenario(seed, rough=rough)
    try:
        return seed, "", scenario.run()
    except Exception as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        return seed, f"{type(first).__name__}: {first}", scenario.seen


def play_all(seeds: Iterable[int], processes: int | None = None) -> tuple[Counter[str], list[tuple[int, str]]]:
    """A batch over all cores; returns what was exercised and the failures, by seed."""
    seen: Counter[str] = Counter()
    failures = []
    with ProcessPoolExecutor(processes or os.cpu_count(), initializer=settle_in) as pool:
        for seed, failure, exercised in pool.map(play, seeds, chunksize=25):
            seen += exercised
            seen["seeds"] += 1
            if failure:
                failures.append((seed, failure))
    return seen, failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay one seed")
    what.add_argument("--seeds", type=int, help="run that many")
    what.add_argument("--mutants", action="store_true", help="break the delivery; every break must be caught")
    parser.add_argument("--first", type=int, default=0, help="first seed of a batch")
    parser.add_argument("--trace", action="store_true", help="log every step of the one seed")
    args = parser.parse_args()
    began = time.monotonic()
    if args.mutants:
        from simulation.mutants import hunt

        survivors = hunt(print)
        return 1 if survivors else 0
    if args.seed is not None:
        if args.trace:
            logging.basicConfig(level=logging.DEBUG, format="%(name)s %(message)s", stream=sys.stdout)
        scenario = Scenario(args.seed)
        try:
            print(dict(scenario.run()))
        except Exception:
            traceback.print_exc()
            print(dict(scenario.seen), f"virtual time {scenario.loop.time():.3f} s")
            return 1
        return 0
    seen, failures = play_all(range(args.first, args.first + args.seeds))
    for name, count in sorted(seen.items()):
        print(f"{count:>10,}  {name}")
    for seed, failure in islice(failures, 20):
        print(f"seed {seed}: {failure}\n    {REPLAY.format(seed=seed)}")
    print(f"{args.seeds} seeds, {len(failures)} failed, {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
