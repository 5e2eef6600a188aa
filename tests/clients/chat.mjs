// The OpenAI SDK on Chat Completions: its streaming helper, and its tool runner streamed and whole.
import { key, model, parameters, question, require, tell, url, weather } from "./common.mjs";

const { OpenAI } = require("openai");
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: question }];

let deltas = "";
const stream = client.chat.completions
  .stream({ model, messages, stream_options: { include_usage: true } })
  .on("content", (delta) => (deltas += delta));
const completion = await stream.finalChatCompletion();

const asked = [];
const tool = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a city",
    parameters,
    parse: JSON.parse,
    function: (told) => (asked.push(told.city), weather(told)),
  },
};
const streamed = await client.chat.completions.runTools({ model, messages, tools: [tool], stream: true }).finalContent();
const whole = await client.chat.completions.runTools({ model, messages, tools: [tool] }).finalContent();

tell({
  deltas,
  text: completion.choices[0].message.content,
  finish: completion.choices[0].finish_reason,
  input: completion.usage.prompt_tokens,
  output: completion.usage.completion_tokens,
  asked,
  streamed,
  whole,
});
