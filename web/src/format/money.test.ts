import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, decimal, formatCredits, nano, percent, sum } from "./money.ts";

test("credits are read to the nano-credit, which a float cannot", () => {
  assert.equal(nano("9007199.254740993"), 9007199254740993n);
  assert.equal(decimal(nano("9007199.254740993")), "9007199.254740993");
  assert.equal(nano("-0.000000001"), -1n);
});

test("what is no decimal is refused", () => {
  for (const text of ["", "1e3", "abc", ".5", "1.", "NaN"]) assert.throws(() => nano(text), RangeError);
});

test("credits are shown exactly, with thousands apart and two digits at least", () => {
  assert.equal(formatCredits("1234567.5"), "1,234,567.50");
  assert.equal(formatCredits("0.000000123"), "0.000000123");
  assert.equal(formatCredits("10"), "10.00");
  assert.equal(formatCredits("-12.30"), "−12.30");
  assert.equal(formatCredits("1000000000.999999999"), "1,000,000,000.999999999");
});

test("sums and comparisons are exact", () => {
  assert.equal(sum(["0.1", "0.2"]), "0.3");
  assert.equal(sum([]), "0");
  assert.equal(compare("0.30", sum(["0.1", "0.2"])), 0);
  assert.equal(compare("9.99", "10"), -1);
  assert.equal(percent("2.5", "10"), 25);
  assert.equal(percent("11", "10"), 100);
  assert.equal(percent("1", "0"), 0);
});
