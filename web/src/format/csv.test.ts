import assert from "node:assert/strict";
import { test } from "node:test";
import { csvLine } from "./csv.ts";

test("cells that would break a line or run as a formula are kept apart", () => {
  assert.equal(csvLine(["a,b", 'say "x"', "two\nlines", null, 3]), '"a,b","say ""x""","two\nlines",,3');
  assert.equal(csvLine(["=1+1", "-0.5", "@x"]), "'=1+1,-0.5,'@x");
});
