import assert from "node:assert/strict";
import { test } from "node:test";
import { asCurl, bodyOf, emptyAnswer, NO_SETTINGS, python, readTools } from "./chat.ts";
import { decimalText } from "../../../format/money.ts";
import { Events, withEvent } from "./stream.ts";

const STREAM = 'data: {"choices":[{"delta":{"content":"Grüe"}}]}\r\n\r\n: alive\n\ndata:{"choices":[{"delta":{"content":"zi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';

test("any cut of a stream gives the same events", () => {
  const whole = new Events().feed(STREAM);
  assert.equal(whole.length, 3);
  for (let at = 0; at <= STREAM.length; at += 1) {
    const events = new Events();
    assert.deepEqual([...events.feed(STREAM.slice(0, at)), ...events.feed(STREAM.slice(at))], whole);
  }
});

test("an answer adds up from its events, its costs as text", () => {
  let answer = emptyAnswer("{}");
  const told = [
    '{"choices":[{"delta":{"role":"assistant","content":""}}]}',
    '{"choices":[{"delta":{"reasoning_content":"hm"}}]}',
    '{"choices":[{"delta":{"content":"Hello"}}]}',
    '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"weather","arguments":"{\\"a\\""}}]}}]}',
    '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}',
    '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"cost":3.5e-8}}',
    "[DONE]",
  ];
  told.forEach((data, at) => {
    answer = withEvent(answer, data, at * 10);
  });
  assert.equal(answer.text, "Hello");
  assert.equal(answer.reasoning, "hm");
  assert.deepEqual(answer.toolCalls, [{ id: "c1", name: "weather", arguments: '{"a":1}' }]);
  assert.equal(answer.figures.cost, "0.000000035");
  assert.equal(answer.figures.firstContentMs, 10);
  assert.equal(answer.finish, "tool_calls");
});

test("an error in the stream is kept beside what came before it", () => {
  const answer = withEvent({ ...emptyAnswer("{}"), text: "Half" }, '{"error":{"message":"the node left"}}', 5);
  assert.equal(answer.text, "Half");
  assert.equal(answer.error, "the node left");
});

test("costs are never written with an exponent", () => {
  assert.equal(decimalText(1e-9), "0.000000001");
  assert.equal(decimalText(2), "2");
  assert.equal(decimalText("0.10"), "0.10");
});

test("a body has what was set and nothing else", () => {
  const body = bodyOf("a/b", [{ role: "user", text: "Hi", pictures: [] }], { ...NO_SETTINGS, temperature: "0.5" });
  assert.deepEqual(Object.keys(body), ["model", "messages", "stream", "stream_options", "temperature"]);
  assert.equal(body["temperature"], 0.5);
});

test("quotes in a message stay one argument of curl, and Python gets its own words", () => {
  const body = bodyOf("a/b", [{ role: "user", text: "it's", pictures: [] }], NO_SETTINGS);
  assert.match(asCurl("http://x", body), /it'\\''s/);
  assert.equal(python({ a: true, b: null, c: [1, "x"] }), '{"a": True, "b": None, "c": [1, "x"]}');
});

test("tools are a list or nothing", () => {
  assert.equal(readTools("").error, null);
  assert.match(readTools("{}").error ?? "", /list/);
  assert.match(readTools("[").error ?? "", /no JSON/);
});
