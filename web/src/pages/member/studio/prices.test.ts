import assert from "node:assert/strict";
import { test } from "node:test";
import { perMillion, priceOf } from "./prices.ts";

test("a price of one becomes the price of a million without rounding", () => {
  assert.equal(perMillion("0.00000015"), "0.15");
  assert.equal(perMillion("0.000001"), "1");
  assert.equal(perMillion("2"), "2000000");
  assert.equal(perMillion("0.000000000001"), "0.000001");
  assert.equal(perMillion("0"), "0");
});

test("a price is said by what it is for", () => {
  const said = (pricing: Parameters<typeof priceOf>[0]["pricing"]) => priceOf({ pricing });
  assert.equal(said(null), "No price is set: calls are refused.");
  assert.equal(said({ free: true }), "Free");
  assert.equal(said({ prompt: "0", completion: "0", units: { second: "0.4" } }), "0.40 credits a second");
  assert.equal(said({ units: { image: { low: "0.01", high: "0.17" } } }), "0.01 to 0.17 credits an image, by quality and size");
  assert.equal(said({ units: { character: "0.000015" } }), "15.00 credits a million characters");
  assert.equal(said({ prompt: "0.000001", completion: "0.000002" }), "1.00 / 2.00 credits a million tokens in / out");
});
