"""Figures: what a call adds, that labels stay bounded, and that the document says what is exposed."""

import gc
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mira.core.call import CallRecord, Tried
from mira.core.usage import Usage
from mira.observe.call_sums import MOST_WAITING, CallSums
from mira.observe.calls import Observer
from mira.observe.metrics import MOST_REASONS, MOST_SETS, ConditionSeen, Metrics, NodeSeen, Standing

MODEL = "openai/gpt-4o-mini"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
STANDING = Standing(
    nodes=[
        NodeSeen(name="a", state="active", in_flight=3, latency_s=0.25),
        NodeSeen(
            name="b",
            state="ejected",
            reason="upstream_timeout",
            credits=1.5,
            conditions=[ConditionSeen(model=MODEL, state="limited", reason="rate_limited")],
        ),
    ],
    holds=2,
    held_nanocredits=3_000_000_000,
    waiting=4,
    jobs={"running": 2},
)


def counting(standing: Standing = STANDING) -> Metrics:
    return Metrics(version="9.9", models=lambda: {MODEL}, nodes=lambda: {"a", "b"}, standing=lambda: standing)


def called(**more) -> CallRecord:
    fields = {
        "request_id": "req_1", "workspace_id": "ws", "key_id": "key", "face": "proxy", "protocol": "chat",
        "model": MODEL, "node": "a", "started_at_ms": 1, "duration_ms": 1500, "status": 200, "attempts": 1, **more,
    }  # fmt: skip
    return CallRecord(**fields)


async def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = (await metrics.exposition()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found, name, **labels) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


async def test_a_call_adds_what_its_record_says():
    metrics = counting()
    observer = Observer(metrics, None)
    observer.began("req_1")
    usage = Usage(input_tokens=11, output_tokens=3, cache_read_tokens=5)
    observer.ended(called(usage=usage, billed_nanocredits=17_000, first_content_ms=300))
    found = await samples(metrics)
    pair = {"model": MODEL, "node": "a"}
    assert of(found, "mira_requests_total", surface="proxy", protocol="chat", status="2xx", **pair) == 1
    tokens = {
        name: of(found, "mira_tokens_total", **pair, **{"class": name}) for name in ("input", "output", "cache_read")
    }
    assert tokens == {"input": 11, "output": 3, "cache_read": 5}
    assert of(found, "mira_cost_credits_total", **pair) == 0.000017
    assert of(found, "mira_first_content_seconds_sum", **pair) == 0.3
    assert of(found, "mira_request_duration_seconds_sum", **pair) == 1.5
    assert of(found, "mira_attempts_total", node="a") == 1
    assert of(found, "mira_requests_in_flight") == 0
    assert not any(name == "mira_refusals_total" for name, _ in found)


async def test_a_failover_counts_at_the_node_that_failed_and_the_answer_at_the_one_that_gave_it():
    metrics = counting()
    metrics.calls.ended(called(node="a", attempts=2, tried=(Tried("b", "upstream_timeout"),)))
    found = await samples(metrics)
    assert of(found, "mira_failovers_total", node="b", reason="upstream_timeout") == 1
    assert (of(found, "mira_attempts_total", node="a"), of(found, "mira_attempts_total", node="b")) == (1, 1)


async def test_a_last_attempt_that_fails_is_no_failover():
    metrics = counting()
    failed = (Tried("b", "upstream_failed"), Tried("a", "upstream_timeout"))
    metrics.calls.ended(called(node="a", attempts=2, status=504, error="upstream_timeout", tried=failed))
    found = await samples(metrics)
    assert of(found, "mira_failovers_total", node="b", reason="upstream_failed") == 1
    assert of(found, "mira_failovers_total", node="a", reason="upstream_timeout") is None
    assert (of(found, "mira_attempts_total", node="a"), of(found, "mira_attempts_total", node="b")) == (1, 1)
    assert of(found, "mira_refusals_total", kind="upstream_timeout") == 1


async def test_an_answer_that_no_node_gave_follows_no_failover():
    metrics = counting()
    metrics.calls.ended(called(node=None, attempts=0, tried=(Tried("b", "upstream_failed"), Tried("a", "refused"))))
    found = await samples(metrics)
    assert not [name for name, _ in found if name in ("mira_failovers_total", "mira_attempts_total")]


async def test_a_refusal_has_no_node_and_no_time_to_first_content():
    metrics = counting()
    metrics.calls.ended(called(model="", node=None, attempts=0, status=401, error="bad_key"))
    found = await samples(metrics)
    assert of(found, "mira_refusals_total", kind="bad_key") == 1
    labels = {"surface": "proxy", "protocol": "chat", "model": "other", "node": "none", "status": "4xx"}
    assert of(found, "mira_requests_total", **labels) == 1
    assert of(found, "mira_first_content_seconds_count", model="other", node="none") == 0


async def test_names_that_the_fleet_does_not_know_are_other_and_are_not_remembered():
    metrics = counting()
    for number in range(3 * MOST_SETS):
        metrics.calls.ended(called(model=f"made-up-{number}", node=None, status=404, error="model_not_found"))
    found = await samples(metrics)
    labels = {"surface": "proxy", "protocol": "chat", "model": "other", "node": "none", "status": "4xx"}
    assert of(found, "mira_requests_total", **labels) == 3 * MOST_SETS
    assert len(metrics.calls) == 1


async def test_more_models_than_there_is_room_for_are_other():
    models = {f"m/{number}" for number in range(MOST_SETS + 50)}
    metrics = Metrics(version="1", models=lambda: models, nodes=lambda: {"a"}, standing=Standing)
    for model in sorted(models):
        metrics.calls.ended(called(model=model))
    found = await samples(metrics)
    counts = [value for (name, _), value in found.items() if name == "mira_requests_total"]
    assert (len(counts), sum(counts)) == (MOST_SETS + 1, MOST_SETS + 50)
    assert of(found, "mira_attempts_total", node="a") == MOST_SETS


RECORDS = st.builds(
    called,
    model=st.sampled_from((MODEL, "made-up")),
    node=st.sampled_from(("a", "b", "gone", None)),
    protocol=st.sampled_from(("chat", "messages")),
    status=st.sampled_from((200, 201, 404, 503)),
    error=st.sampled_from((None, "client_left", "unavailable")),
    attempts=st.integers(0, 2),
    tried=st.sampled_from(((), (Tried("b", "upstream_failed"), Tried("a", "ok")))),
    duration_ms=st.integers(0, 10**6),
    first_content_ms=st.none() | st.integers(0, 10**5),
    billed_nanocredits=st.integers(0, 10**12),
    usage=st.builds(Usage, input_tokens=st.integers(0, 9), image_output_tokens=st.integers(0, 9)),
)


def told(sums: CallSums) -> dict[tuple[str, ...], float]:
    """What a scrape finds, in whatever order it is written."""
    return {
        (sample.name, *map(str, sorted(sample.labels.items()))): sample.value
        for family in sums.families()
        for sample in family.samples
    }


@given(st.lists(RECORDS, max_size=40))
async def test_calls_that_are_counted_together_add_up_to_the_same_as_one_by_one(records):
    together, alone = (CallSums(3, lambda: {MODEL}, lambda: {"a", "b"}) for _ in range(2))
    for record in records:
        together.ended(record)
        alone.ended(record)
        alone.families()
    assert told(together) == told(alone)
    assert sum(sample.value for sample in alone.families()[0].samples) == len(records)


async def test_calls_do_not_wait_in_any_number_to_be_counted():
    metrics = counting()
    records = [called() for _ in range(MOST_WAITING)]
    for record in records[1:]:
        metrics.calls.ended(record)
    assert gc.get_referrers(records[1]) != [records]
    metrics.calls.ended(records[0])
    assert gc.get_referrers(records[1]) == [records]


async def test_every_transaction_of_the_ledger_is_counted_whenever_one_asks():
    metrics = counting()
    for number in range(MOST_WAITING + 1):
        metrics.batch_committed(number % 3, 0.0007)
    found = await samples(metrics)
    assert of(found, "mira_ledger_batch_operations_count") == MOST_WAITING + 1
    assert of(found, "mira_ledger_batch_operations_bucket", le="1.0") == 172
    assert of(found, "mira_ledger_commit_seconds_bucket", le="0.0005") == 0
    assert of(found, "mira_ledger_commit_seconds_bucket", le="0.001") == MOST_WAITING + 1
    metrics.batch_committed(1, 1)
    assert of(await samples(metrics), "mira_ledger_commit_seconds_count") == MOST_WAITING + 2


async def test_the_standing_of_the_process_is_that_of_the_moment():
    found = await samples(counting())
    assert of(found, "mira_node_state", node="b", state="ejected", reason="upstream_timeout") == 1
    assert of(found, "mira_node_state", node="a", state="active", reason="") == 1
    assert of(found, "mira_node_condition", node="b", model=MODEL, state="limited", reason="rate_limited") == 1
    assert of(found, "mira_node_in_flight", node="a") == 3
    assert of(found, "mira_node_latency_seconds", node="a") == 0.25
    assert of(found, "mira_node_latency_seconds", node="b") is None
    assert of(found, "mira_node_credits", node="b") == 1.5
    assert (of(found, "mira_holds"), of(found, "mira_held_credits")) == (2, 3)
    assert of(found, "mira_requests_waiting") == 4


async def test_reasons_of_nodes_are_bounded_too():
    standings = iter(
        Standing(nodes=[NodeSeen(name="a", state="ejected", reason=f"{number} faults")]) for number in range(100)
    )
    metrics = Metrics(version="1", models=set, nodes=lambda: {"a"}, standing=lambda: next(standings))
    told = set()
    for _ in range(100):
        found = await samples(metrics)
        told |= {dict(labels)["reason"] for name, labels in found if name == "mira_node_state"}
    assert len(told) == MOST_REASONS + 1
    assert "other" in told


async def test_the_document_and_the_exposition_agree():
    metrics = counting()
    metrics.calls.in_flight += 1
    usage = Usage(input_tokens=1)
    failed = (Tried("b", "upstream_failed"),)
    metrics.calls.ended(called(usage=usage, billed_nanocredits=1, attempts=2, tried=failed, error="client_left"))
    metrics.batch_committed(3, 0.001)
    metrics.loop_lagged(0.001)
    metrics.reconciled("a", 0.002)
    exposed = {}
    for family in text_string_to_metric_families((await metrics.exposition()).decode()):
        if family.name.startswith("mira_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            exposed[name] = (family.type, labels)
    rows = re.findall(r"^\| `(mira_\w+)` \| (\w+) \| ([^|]+) \|", DOCUMENT, re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert exposed == documented
    described = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ", DOCUMENT.partition("## Labels")[2], re.MULTILINE)
    every = {label for _, labels in documented.values() for label in labels} - {"version", "python"}
    assert {label for row in described for label in re.findall(r"`(\w+)`", row)} == every
