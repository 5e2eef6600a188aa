"""What translation costs: CPU per request and per streamed chunk for each client protocol over each node protocol.

    uv run python benchmarks/translation.py [--rounds 9] [--profile CLIENT NODE]

No network and no gateway, only the codecs, called as the relay calls them. Where client and node speak the same
protocol the figures are those of passing through (*in italics*). A request is opened, parsed and rendered: a small one
(a question of 0.8 KB) and one of an agent (about 60 KB: instructions, 24 tools, 12 turns with calls and results). A
stream is decoded, turned into events and encoded, one piece of the node's stream at a time: 200 pieces of text, and
four parallel tool calls whose arguments come in 200 pieces. Figures are µs of this process's CPU, median (minimum) of
the rounds; all pairs take turns within a round, so read them as ratios. `--profile` prints where one pair's time goes.
"""

import argparse
import cProfile
import gc
import json
import pstats
import statistics
import time
from collections.abc import Callable

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec, Context, NodeCodec, Target
from mira.codecs.gemini import GEMINI
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.codecs.translation import open_stream
from mira.core.conversation import Conversation
from mira.core.usage import Usage

CLIENTS = (CHAT, MESSAGES, RESPONSES)
NODES: tuple[NodeCodec, ...] = (CHAT, MESSAGES, RESPONSES, GEMINI)
TARGETS = {
    "chat": Target(model="m", output_cap=4096, dialect="openai", cap_field="max_completion_tokens"),
    "messages": Target(model="m", output_cap=4096, dialect="anthropic"),
    "responses": Target(model="m", output_cap=4096, dialect="openai"),
    "gemini": Target(model="m", output_cap=4096),
}
PIECES = 200
TOOLS = 4
WORDS = ("The ", "gateway ", "reads ", "a ", "piece ", "and ", "writes ", "another, ", "naïve ", "“so”\n")
ARGUMENTS = json.dumps({"path": "src/mira/relay.py", "text": "def f(x):\n    return x\n" * 12})
USAGE = Usage(input_tokens=900, output_tokens=200)


def small_request():
    return {
        "model": "m",
        "max_tokens": 400,
        "stream": True,
        "messages": [
            {"role": "system", "content": "You answer in one sentence."},
            {"role": "user", "content": "Why is the sky blue? " * 32},
        ],
    }


def tool(number):
    names = ("path", "pattern", "text", "limit", "recursive")
    properties = {
        name: {"type": "string", "description": f"The {name} that the tool of number {number} works on."}
        for name in names
    }
    schema = {"type": "object", "properties": properties, "required": ["path"], "additionalProperties": False}
    described = f"Tool {number}: reads or changes something in the work tree and says what it found. " * 4
    return {"type": "function", "function": {"name": f"tool_{number}", "description": described, "parameters": schema}}


def agent_request():
    messages = [
        {"role": "system", "content": "You are a careful engineer who works in a tree of files.\n" * 150},
        {"role": "user", "content": "Find the bug and fix it."},
    ]
    for turn in range(12):
        calls = [
            {
                "id": f"call_{turn}_{number}",
                "type": "function",
                "function": {"name": f"tool_{number}", "arguments": json.dumps({"path": f"src/file_{number}.py"})},
            }
            for number in range(2)
        ]
        messages.append({"role": "assistant", "content": "I look at the next two files.", "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": "    value = compute(value, 'é')\n" * 32}
            for call in calls
        ]
    tools = [tool(number) for number in range(24)]
    return {"model": "m", "max_tokens": 4000, "stream": True, "messages": messages, "tools": tools}


def bodies_of(request) -> dict[str, bytes]:
    """The same request as each client would send it."""
    conversation = CHAT.parse_request(CHAT.open_request(json.dumps(request).encode()))
    return {client.name: client.render_request(conversation, TARGETS[client.name])[0] for client in CLIENTS}


def pieces_of_text():
    return [WORDS[number % len(WORDS)] for number in range(PIECES)]


def pieces_of_arguments():
    """(call, fragment) in turns, as parallel calls may come."""
    each = PIECES // TOOLS
    step = -(-len(ARGUMENTS) // each)
    return [(number % TOOLS, ARGUMENTS[number // TOOLS * step :][:step]) for number in range(PIECES)]


def frame(body, name=None):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(body).encode() + b"\n\n"


def chat_stream(kind):
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "m"}

    def chunk(delta, reason=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return frame({**head, "system_fingerprint": "fp_1", "choices": [choice], "usage": None})

    first = [chunk({"role": "assistant", "content": ""})]
    usage = {"prompt_tokens": 900, "completion_tokens": 200, "total_tokens": 1100}
    last = [frame({**head, "choices": [], "usage": usage}), b"data: [DONE]\n\n"]
    if kind == "text":
        return first, [chunk({"content": piece}) for piece in pieces_of_text()], [chunk({}, "stop"), *last]
    for number in range(TOOLS):
        call = {"index": number, "id": f"call_{number}", "type": "function"}
        first.append(chunk({"tool_calls": [{**call, "function": {"name": f"tool_{number}", "arguments": ""}}]}))
    deltas = [
        chunk({"tool_calls": [{"index": number, "function": {"arguments": fragment}}]})
        for number, fragment in pieces_of_arguments()
    ]
    return first, deltas, [chunk({}, "tool_calls"), *last]


def messages_stream(kind):
    def event(name, **fields):
        return frame({"type": name, **fields}, name)

    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    first = [event("message_start", message={**message, "usage": {"input_tokens": 900, "output_tokens": 1}})]
    reason = "end_turn" if kind == "text" else "tool_use"
    ending = {"stop_reason": reason, "stop_sequence": None}
    last = [event("message_delta", delta=ending, usage={"output_tokens": 200}), event("message_stop")]
    if kind == "text":
        first.append(event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
        deltas = [
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces_of_text()
        ]
        return first, deltas, [event("content_block_stop", index=0), *last]
    deltas = []
    # Blocks stand one after the other here; where one begins and ends is part of its piece.
    fragments = sorted(pieces_of_arguments(), key=lambda piece: piece[0])
    for place, (number, fragment) in enumerate(fragments):
        out = event("content_block_delta", index=number, delta={"type": "input_json_delta", "partial_json": fragment})
        if place % (PIECES // TOOLS) == 0:
            call = {"type": "tool_use", "id": f"toolu_{number}", "name": f"tool_{number}", "input": {}}
            out = event("content_block_start", index=number, content_block=call) + out
        if (place + 1) % (PIECES // TOOLS) == 0:
            out += event("content_block_stop", index=number)
        deltas.append(out)
    return first, deltas, last


def responses_stream(kind):
    count = iter(range(10000))
    head = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "m", "tools": [], "output": []}

    def event(name, **fields):
        return frame({"type": name, **fields, "sequence_number": next(count)}, name)

    first = [event("response.created", response={**head, "status": "in_progress"})]
    usage = {"input_tokens": 900, "output_tokens": 200, "total_tokens": 1100}
    items = []
    if kind == "text":
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": []}
        first.append(event("response.output_item.added", output_index=0, item=item))
        first.append(event("response.content_part.added", **at, part=part))
        deltas = [event("response.output_text.delta", **at, delta=text, logprobs=[]) for text in pieces_of_text()]
        part["text"] = "".join(pieces_of_text())
        items = [{**item, "status": "completed", "content": [part]}]
        last = [
            event("response.output_text.done", **at, text=part["text"], logprobs=[]),
            event("response.content_part.done", **at, part=part),
        ]
    else:
        for number in range(TOOLS):
            call = {"id": f"fc_{number}", "type": "function_call", "call_id": f"call_{number}", "arguments": ""}
            call |= {"name": f"tool_{number}", "status": "in_progress"}
            first.append(event("response.output_item.added", output_index=number, item=call))
            items.append({**call, "status": "completed", "arguments": ARGUMENTS})
        deltas = [
            event("response.function_call_arguments.delta", item_id=f"fc_{at}", output_index=at, delta=fragment)
            for at, fragment in pieces_of_arguments()
        ]
        last = [
            event("response.function_call_arguments.done", item_id=f"fc_{at}", output_index=at, arguments=ARGUMENTS)
            for at in range(TOOLS)
        ]
    last += [event("response.output_item.done", output_index=at, item=item) for at, item in enumerate(items)]
    last.append(event("response.completed", response={**head, "status": "completed", "output": items, "usage": usage}))
    return first, deltas, last


def gemini_stream(kind):
    def chunk(parts, **more):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
        usage = {"promptTokenCount": 900, "candidatesTokenCount": 200, "totalTokenCount": 1100}
        return frame({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"})

    if kind == "text":
        return [], [chunk([{"text": piece}]) for piece in pieces_of_text()], [chunk([], finishReason="STOP")]
    # Gemini tells a call whole: as many calls as the others have pieces, with a fragment's worth of arguments.
    deltas = [
        chunk([{"functionCall": {"id": f"call_{at}", "name": f"tool_{number}", "args": {"text": fragment}}}])
        for at, (number, fragment) in enumerate(pieces_of_arguments())
    ]
    return [], deltas, [chunk([], finishReason="STOP")]


STREAMS = {"chat": chat_stream, "messages": messages_stream, "responses": responses_stream, "gemini": gemini_stream}


def request_work(client: Codec, node: NodeCodec, body: bytes) -> Callable[[], None]:
    target = TARGETS[node.name]
    if client is node:
        return lambda: client.pass_request(client.open_request(body), target)
    return lambda: node.render_request(client.parse_request(client.open_request(body)), target)


def stream_work(client: Codec, node: NodeCodec, kind: str, asked: Conversation) -> Callable[[], None]:
    pieces = [piece for part in STREAMS[node.name](kind) for piece in part]
    context = Context(answer_id="a1", created_s=1790000000, request=None if client is node else asked)

    def run():
        stream = open_stream(client, node, None, context)
        for piece in pieces:
            stream.feed(piece)
        stream.close()
        if stream.failed is not None or not stream.ended:
            raise RuntimeError(f"{client.name} over {node.name}: the stream of {kind} did not end well")
        stream.finish(stream.usage or USAGE, 42)

    return run


def works():
    """(what, client, node) -> (work, how often in a round, by what to divide)."""
    small, agent = bodies_of(small_request()), bodies_of(agent_request())
    out = {}
    for client in CLIENTS:
        asked = client.parse_request(client.open_request(agent[client.name]))
        for node in NODES:
            pair = (client.name, node.name)
            out["small request", *pair] = request_work(client, node, small[client.name]), 100, 1
            out["agent request", *pair] = request_work(client, node, agent[client.name]), 5, 1
            out["text chunk", *pair] = stream_work(client, node, "text", asked), 3, PIECES
            out["tool chunk", *pair] = stream_work(client, node, "tools", asked), 3, PIECES
    return out, {name: len(body) for name, body in agent.items()}


def measured(rounds: int):
    figures: dict[tuple, list[float]] = {}
    todo, sizes = works()
    gc.collect()
    gc.freeze()
    for each in range(rounds + 1):
        for what, (work, times, parts) in todo.items():
            before = time.process_time_ns()
            for _ in range(times):
                work()
            spent = (time.process_time_ns() - before) / 1000 / times / parts
            if each:  # the first round warms caches up
                figures.setdefault(what, []).append(spent)
    return figures, sizes


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--profile", nargs=2, metavar=("CLIENT", "NODE"))
    options = arguments.parse_args()
    if options.profile:
        todo, _ = works()
        for what in ("agent request", "text chunk", "tool chunk"):
            work = todo[what, *options.profile][0]
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(100):
                work()
            profile.disable()
            print(f"== {what}, 100 times")
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)
        return
    figures, sizes = measured(options.rounds)
    kinds = list(dict.fromkeys(what for what, _, _ in figures))
    for what in kinds:
        unit = "µs per request" if "request" in what else "µs per chunk"
        print(f"\n| {what}, {unit}: client ↓, node → | " + " | ".join(node.name for node in NODES) + " |")
        print("|---" * (len(NODES) + 1) + "|")
        for client in CLIENTS:
            cells = []
            for node in NODES:
                values = figures[what, client.name, node.name]
                digits = 1 if statistics.median(values) < 100 else 0
                cell = f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f})"
                cells.append(f"*{cell}*" if client is node else cell)
            print(f"| {client.name} | " + " | ".join(cells) + " |")
    print("\nAgent request: " + ", ".join(f"{size / 1000:.0f} KB as {name}" for name, size in sizes.items()))


if __name__ == "__main__":
    main()
