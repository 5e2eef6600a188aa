"""Gateways killed at each stage of a job for a video, and what became of the job and its money."""

import time
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx2
from tests.support.gateway import Gateway, eventually
from tests.support.videos import VideoUpstream

#: Where the gateway is when it dies: while it sends, while it waits to hear that the node has the work, while it asks
#: how the work stands, while it fetches the result; or at some moment after the request came.
STAGES = ("submit", "submitted", "poll", "content", "any")
MODELS = ("openai/sora-2", "studio/clip-1")
PRICES = [{"model": model, "second": "0.1"} for model in MODELS]
SECONDS, COST = 4, Decimal("0.4")
PATIENCE_S = 120.0


def settings(upstream: VideoUpstream) -> dict[str, Any]:
    """A gateway's settings for these scenarios."""
    return {
        "nodes": upstream.nodes("sora", "other"),
        "prices": PRICES,
        "models": [{"id": MODELS[1], "outputs": ["video"]}],
        "tables": {"video": {"poll_s": 0.05}},
        "MIRA_BOOTSTRAP_CREDITS": "1000",
    }


class Killing:
    """Kills one of the `gateways` again and again. With several, the others go on with what it had begun."""

    def __init__(self, gateways: list[Gateway], upstream: VideoUpstream) -> None:
        self.gateways = gateways
        self.upstream = upstream
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._number = 0

    def kill(self, stage: str, model: str, *, after_s: float = 0.0, revive: bool = True) -> str:
        """One job and one kill at a stage; returns how the job ended, and notes what was wrong."""
        self.upstream.reset()
        self._number += 1
        victim = self.gateways[self._number % len(self.gateways)]
        before = balance(victim)
        gate = self.upstream.stages.get(stage)
        if gate is not None:
            gate.shut()
        job = self._post(victim, model, self._number)
        if gate is not None:
            gate.wait()
        else:
            time.sleep(after_s)
        victim.kill()
        if gate is not None:
            gate.open.set()
        if len(self.gateways) == 1:
            victim.start()
        asked = victim if len(self.gateways) == 1 else next(one for one in self.gateways if one is not victim)
        job = job or self._post(asked, model, self._number)
        assert job is not None
        ended = eventually(lambda: _ended(asked, job["id"]), PATIENCE_S)
        eventually(lambda: balance(asked)[1] == 0, PATIENCE_S)
        self._judge(asked, stage, model, ended, before[0] - balance(asked)[0])
        if len(self.gateways) > 1 and revive:
            victim.start()
        return str(ended["status"])

    def _post(self, gateway: Gateway, model: str, number: int) -> dict[str, Any] | None:
        """The job; None where the gateway died before it answered."""
        body = {"prompt": "On", "model": model, "seconds": SECONDS}
        try:
            made = gateway.post("/v1/video", body, headers={"idempotency-key": f"kill-{number}"})
        except httpx2.TransportError:
            return None
        assert made.status_code == 202, made.text
        found: dict[str, Any] = made.json()
        return found

    def _judge(self, gateway: Gateway, stage: str, model: str, job: dict[str, Any], paid: Decimal) -> None:
        status = job["status"]
        self.outcomes[f"{stage}: {status}"] += 1
        where = f"{stage}, {model}: {job}, paid {paid}"
        if paid != (COST if status == "completed" else 0):
            self.wrong.append(f"paid otherwise: {where}")
        works = {work.name for work in self.upstream.works.values()}
        if len(works) > 1:
            self.wrong.append(f"{len(works)} works at the node: {where}")
        # Only where nobody can know whether the node has the work may a job fail, and not where the node knows its key.
        may_fail = model == MODELS[0] and stage in ("submit", "submitted", "any")
        if status != "completed" and not may_fail:
            self.wrong.append(f"failed for no reason: {where}")
        checked = gateway.admin("GET", "/ledger/check")
        if not checked["ok"]:
            self.wrong.append(f"the ledger: {checked}")


def balance(gateway: Gateway) -> tuple[Decimal, Decimal]:
    """Credits, and those of them that are held."""
    found = gateway.balance()
    return Decimal(found["balance"]), Decimal(found["held"])


def _ended(gateway: Gateway, job_id: str) -> dict[str, Any] | None:
    shown = gateway.get(f"/v1/video/{job_id}").json()
    return shown if shown["status"] in ("completed", "failed") else None
