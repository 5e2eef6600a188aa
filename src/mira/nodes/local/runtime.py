"""Serves a GGUF model through llama.cpp; run as a program: `python -m mira.nodes.local.runtime MODEL_PATH ALIAS N_CTX`.

It listens on a free port of the loopback address, under the key in the environment variable `MIRA_LOCAL_KEY`. Its only
output is one line of JSON: `{"address": "http://127.0.0.1:PORT", "context_tokens": N}` once the model is loaded, or
`{"error": "…"}` where it cannot be. It ends as soon as its standard input does, so it never outlives its parent.
"""

import os
import sys
import threading
import urllib.request
from pathlib import Path
from typing import BinaryIO

import msgspec

SLOTS = 2
KEY_VARIABLE = "MIRA_LOCAL_KEY"
PROMPT_CACHE_MIB = 256
NICENESS = 5

MISSING_RUNTIME = (
    "the runtime of the local model is not installed; install Mira with the extra: pip install 'mira[local]'"
)


class Hello(msgspec.Struct, omit_defaults=True):
    """The one line that the child says. `context_tokens` is what one request may use, prompt and answer together."""

    address: str = ""
    context_tokens: int = 0
    error: str = ""


class _Settings(msgspec.Struct):
    n_ctx: int


class _Props(msgspec.Struct):
    default_generation_settings: _Settings


class UnusableError(Exception):
    """The model cannot be served, and trying again would not help; the message says what to do."""


def _serve(model_path: str, alias: str, n_ctx: int, key: str) -> tuple[object, Hello]:
    """Loads the model; the server runs in threads of its own as long as the returned object lives."""
    try:
        import xllamacpp  # noqa: PLC0415 - an extra: without it this program says so instead of failing to start
    except ImportError as error:
        raise UnusableError(MISSING_RUNTIME) from error
    try:
        with Path(model_path).open("rb") as model:
            magic = model.read(4)
    except OSError as error:
        raise UnusableError(f"the model file {model_path} cannot be read: {error.strerror}") from error
    if magic != b"GGUF":
        raise UnusableError(f"{model_path} is not a GGUF file")

    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias, params.n_ctx = model_path, {alias}, n_ctx
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key]
    params.n_parallel = SLOTS
    # On a busy host two generation threads wait for each other most of the time; prompts do gain from a second one.
    params.cpuparams.n_threads, params.cpuparams_batch.n_threads = 1, 2
    params.use_jinja, params.offline, params.ui, params.verbosity = True, True, False, 0
    params.cache_ram_mib, params.endpoint_slots = PROMPT_CACHE_MIB, False
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise UnusableError(f"llama.cpp cannot load {model_path}; the file may be cut or of an unknown kind") from error
    address = server.listening_address
    return server, Hello(address, _context_tokens(address, key))


def _context_tokens(address: str, key: str) -> int:
    """What one slot really got: llama.cpp lowers the context to what the model was made for."""
    request = urllib.request.Request(f"{address}/props", headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return msgspec.json.decode(answer.read(), type=_Props).default_generation_settings.n_ctx


def end_with_parent() -> None:
    """Waits for the end of the standard input, which a parent keeps open while it lives, then ends this process."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def own_output() -> BinaryIO:
    """Takes the standard output for the one line; whatever libraries print goes nowhere."""
    mine = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return mine


def main(arguments: list[str]) -> int:
    """The program: MODEL_PATH ALIAS N_CTX; runs until its parent is gone, or returns 1 where the model is unusable."""
    if len(arguments) != 3 or not arguments[2].isdecimal() or KEY_VARIABLE not in os.environ:
        print(f"usage: {KEY_VARIABLE}=… python -m mira.nodes.local.runtime MODEL_PATH ALIAS N_CTX", file=sys.stderr)
        return 2
    watch = threading.Thread(target=end_with_parent)
    watch.start()
    output = own_output()
    # The gateway on the same machine goes first: an answer of the model may take longer, a relayed byte may not.
    os.nice(NICENESS)
    try:
        server, hello = _serve(arguments[0], arguments[1], int(arguments[2]), os.environ.pop(KEY_VARIABLE))
    except UnusableError as error:
        server, hello = None, Hello(error=str(error))
    output.write(msgspec.json.encode(hello) + b"\n")
    output.close()
    if server is None:
        os._exit(1)
    watch.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
