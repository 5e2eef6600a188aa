// The OpenAI SDK on Responses: its streaming helper, and its tool runner streamed and whole.
import { key, model, parameters, question, require, tell, url, weather } from "./common.mjs";

const { OpenAI } = require("openai");
const { ResponsesToolRunner } = require("openai/helpers/responses-tool-runner");
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });

let deltas = "";
const stream = client.responses
  .stream({ model, input: question, store: false })
  .on("response.output_text.delta", (event) => (deltas += event.delta));
const response = await stream.finalResponse();

const asked = [];
const tool = { type: "function", name: "weather", description: "The weather of a city", parameters, strict: true };
const execute = (told) => (asked.push(told.city), weather(told));
const run = (options) =>
  new ResponsesToolRunner({ functions: [{ tool, execute }] }).run(
    client,
    { model, input: [{ role: "user", content: question }], store: false },
    options,
  );
const streamed = await run({ stream: true });
const whole = await run({});

tell({
  deltas,
  text: response.output_text,
  finish: response.status,
  input: response.usage.input_tokens,
  output: response.usage.output_tokens,
  asked,
  streamed: streamed.output_text,
  whole: whole.output_text,
});
