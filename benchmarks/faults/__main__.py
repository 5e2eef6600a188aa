"""What a fleet with sick nodes does to clients, as figures beside their goals; exits with 1 where one is missed.

    uv run python -m benchmarks.faults [NUMBER ...] [--way NAME]

A real `mira serve` stands before upstreams that fail as told (`tests/support/faulty.py`), all on one machine. Without
a number every scenario runs, which takes some ten minutes. `--way` picks one way to be bad in scenario 1.
"""

import argparse
import asyncio
import sys
import time
from functools import partial

from benchmarks.faults import bad_nodes, chain, pressure, running_dry, sessions, slow_node
from benchmarks.faults.bench import Scenario


def scenarios(way: str | None) -> tuple[Scenario, ...]:
    """Every scenario in the order of the goals; `way` picks one way of the first."""
    return (
        Scenario(1, "One third of the nodes bad, 5,000 requests each", partial(bad_nodes.run, way)),
        Scenario(2, "One of 8 nodes slow, then well; trouble that ends", slow_node.run),
        Scenario(3, "100 sessions of 50 turns on 8 nodes", sessions.run),
        Scenario(4, "A node runs out of credits", running_dry.run),
        Scenario(5, "SIGTERM under 100 requests/s; three times what the fleet can do", pressure.run),
        Scenario(6, "Two Miras in a row", chain.run),
    )


async def main() -> int:
    """Runs what is asked for; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("numbers", nargs="*", type=int, help="scenarios to run; none for all")
    arguments.add_argument("--way", help="one way of scenario 1")
    options = arguments.parse_args()
    missed = 0
    for scenario in scenarios(options.way):
        if options.numbers and scenario.number not in options.numbers:
            continue
        began_s = time.monotonic()
        print(f"{scenario.number}. {scenario.title}", flush=True)
        async for figure in scenario.run():
            missed += not figure.met
            mark = "ok  " if figure.met else "MISS"
            print(f"  {mark} {figure.what:45s} {figure.value:>45s}   goal {figure.goal}", flush=True)
        print(f"  ({time.monotonic() - began_s:.0f} s)", flush=True)
    print(f"{missed} missed" if missed else "every goal is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
