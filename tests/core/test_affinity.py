"""Where sessions belong: the same in every process and after every restart, as far as no node is crowded."""

import random
from collections import Counter

import pytest

from mira.core.affinity import Sessions, session_key

NODES = [(f"node-{number}", 1.0) for number in range(8)]


def keys(count: int, seed: int) -> list[int]:
    return [session_key("ws", "m", f"{seed}/{number}".encode()) for number in range(count)]


def homes(told: list[int], nodes: list[tuple[str, float]] = NODES) -> dict[int, str]:
    """The nodes of sessions that a process hears of for the first time, in this order."""
    sessions = Sessions()
    return {key: sessions.home(key, nodes, 1.0) for key in told}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "stay"), [(20, 1.0), (100, 0.7), (1000, 0.9)])
def test_sessions_find_home_again_after_a_restart_in_whatever_order_they_come(count, stay, seed):
    told = keys(count, seed)
    before = homes(told)
    random.Random(seed).shuffle(told)
    after = homes(told)
    assert sum(before[key] == after[key] for key in told) >= stay * count


@pytest.mark.parametrize("seed", range(5))
def test_no_node_has_more_than_its_share_and_a_quarter(seed):
    assert max(Counter(homes(keys(100, seed)).values()).values()) <= 1.25 * 100 / len(NODES)


def test_a_node_that_goes_away_takes_only_its_own_sessions_with_it():
    told = keys(20, 0)
    before = homes(told)
    after = homes(told, NODES[1:])
    assert all(before[key] == after[key] for key in told if before[key] != "node-0")
