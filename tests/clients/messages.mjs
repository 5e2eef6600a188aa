// The Anthropic SDK: its streaming helper, and its tool runner streamed and whole.
import { key, model, parameters, question, require, tell, url, weather } from "./common.mjs";

const { Anthropic } = require("@anthropic-ai/sdk");
const { betaTool } = require("@anthropic-ai/sdk/helpers/beta/json-schema");
const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: question }];
const cap = { model, max_tokens: 1000 };

let deltas = "";
const stream = client.messages.stream({ ...cap, messages }).on("text", (delta) => (deltas += delta));
const message = await stream.finalMessage();

const asked = [];
const tool = betaTool({
  name: "weather",
  description: "The weather of a city",
  inputSchema: parameters,
  run: (told) => (asked.push(told.city), weather(told)),
});
const text = (answer) => answer.content.map((block) => block.text ?? "").join("");

let last;
for await (const turn of client.beta.messages.toolRunner({ ...cap, messages, tools: [tool], stream: true })) {
  last = await turn.finalMessage();
}
const whole = await client.beta.messages.toolRunner({ ...cap, messages, tools: [tool] });

tell({
  deltas,
  text: text(message),
  finish: message.stop_reason,
  input: message.usage.input_tokens,
  output: message.usage.output_tokens,
  asked,
  streamed: text(last),
  whole: text(whole),
});
