"""Chat, a stream and a tool call through Mira with the official `openai` package.

    MIRA_API_KEY=sk-mira-… python examples/python_sdk.py [MODEL]

The base URL is http://localhost:4000/v1 unless OPENAI_BASE_URL says otherwise.
"""

import json
import os
import sys

from openai import OpenAI

BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://localhost:4000/v1")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def chat(client: OpenAI, model: str) -> None:
    """One question, one answer, and what it cost."""
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Say hello in one short sentence."}]
    )
    print(raw.parse().choices[0].message.content)
    print(f"  cost: {raw.headers['x-mira-cost']} credits, node: {raw.headers['x-mira-node']}")


def stream(client: OpenAI, model: str) -> None:
    """The same as a stream; the last chunk carries the usage."""
    chunks = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Count from one to five."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in chunks:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
        if chunk.usage:
            print(f"\n  {chunk.usage.prompt_tokens} tokens in, {chunk.usage.completion_tokens} out")


def call_a_tool(client: OpenAI, model: str) -> None:
    """The model asks for a function, and gets its result."""
    messages = [{"role": "user", "content": "What is the weather in Paris? Use the tool."}]
    asked = client.chat.completions.create(
        model=model,
        messages=messages,
        tools=[WEATHER],
        tool_choice="required",
    )
    message = asked.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or []:
        city = json.loads(call.function.arguments).get("city", "")
        print(f"  {call.function.name}({city!r})")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"18 °C and sunny in {city}"})
    answer = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    print(answer.choices[0].message.content)


def main() -> None:
    """Runs the three against one model."""
    model = sys.argv[1] if len(sys.argv) > 1 else "mira/local"
    client = OpenAI(base_url=BASE_URL, api_key=os.environ["MIRA_API_KEY"])
    for example in (chat, stream, call_a_tool):
        example(client, model)


if __name__ == "__main__":
    main()
