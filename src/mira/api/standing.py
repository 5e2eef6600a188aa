"""How the fleet stands: told to clients without secrets and addresses, and to the metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from mira.api.bodies import answer
from mira.api.services import Asked, Services
from mira.core.caller import Caller
from mira.observe.metrics import ConditionSeen, NodeSeen, Standing

#: What a client may know of a node, in the words of the operator API.
SHOWN = ("name", "state", "reason", "latency_ms", "models")


async def list_nodes(services: Services, asked: Asked) -> Response:
    """The nodes that serve models of the key's scope: name, state, models, latency."""
    caller = asked.caller
    now_s = services.monotonic_s()
    shown = [_shown(services.fleet.describe(node, now_s), caller) for node in services.fleet.nodes]
    scoped = caller is not None and caller.models is not None
    return answer({"object": "list", "data": [node for node in shown if node["models"] or not scoped]})


def standing(
    nodes: Sequence[dict[str, Any]], holds: int, held_nanocredits: int, waiting: int, jobs: Mapping[str, int]
) -> Standing:
    """The standing of the process for its metrics; `nodes` as the operator API describes them."""
    return Standing(
        nodes=[_seen(node) for node in nodes],
        holds=holds,
        held_nanocredits=held_nanocredits,
        waiting=waiting,
        jobs=jobs,
    )


def _shown(node: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
    shown = {name: node[name] for name in SHOWN}
    if caller is not None:
        shown["models"] = [model for model in node["models"] if caller.may_use(model)]
    return shown


def _seen(node: dict[str, Any]) -> NodeSeen:
    latency_ms, credits_left = node["latency_ms"], node["credits"]
    return NodeSeen(
        name=node["name"],
        state=node["state"],
        # What a model that is being fetched tells of itself changes all the time.
        reason=None if node["state"] == "loading" else node["reason"],
        in_flight=node["in_flight"],
        latency_s=None if latency_ms is None else latency_ms / 1000,
        credits=None if credits_left is None else float(credits_left),
        conditions=[
            ConditionSeen(model=each["model"], state=each["state"], reason=each["reason"])
            for each in node["conditions"]
        ],
    )
