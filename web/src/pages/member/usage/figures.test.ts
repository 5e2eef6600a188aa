import assert from "node:assert/strict";
import { test } from "node:test";
import { asChart, change, sumsByGroup } from "./figures.ts";

const DAY = 86_400_000;
const row = (model: string, day: number, cost: string, calls = 1) => ({
  model, key_id: null, key_name: null, node: null, day_ms: day * DAY, hour_ms: null, calls, failed: 0,
  prompt_tokens: 1, completion_tokens: 1, total_tokens: 2, cache_read_tokens: 0, reasoning_tokens: 0, cost,
});

test("sums of a group are exact over its days", () => {
  const sums = sumsByGroup([row("a", 0, "0.1"), row("a", 1, "0.2"), row("b", 0, "1")], "model");
  assert.deepEqual(sums.map(({ id, cost, calls }) => [id, cost, calls]), [["a", "0.3", 2], ["b", "1", 1]]);
});

test("a chart has a bar for every step, the largest groups of it, and the rest as one", () => {
  const data = ["a", "b", "c", "d", "e", "f", "g", "h"].map((model, at) => row(model, 1, String(at + 1)));
  const { rows, series } = asChart({ since_ms: 0, until_ms: 3 * DAY, data }, "cost", "model", "day");
  assert.equal(rows.length, 3);
  assert.deepEqual(series.map(({ label }) => label), ["h", "g", "f", "e", "d", "c", "All others"]);
  assert.equal(rows[1]?.values["rest"], 3);
  assert.equal(rows[0]?.texts["g0"], "0.00");
});

test("a change is told in words", () => {
  assert.match(change("1.5", "1"), /^up 50\s% from 1\.00$/);
  assert.match(change(50, 100), /^down 50\s% from 100$/);
  assert.equal(change(1, 0), "nothing before");
  assert.equal(change(0, 0), "–");
  assert.equal(change(3, 3), "as before: 3");
});
