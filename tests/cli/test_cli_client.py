"""The client of the operator API: over a real Unix socket, and into an ASGI application in memory."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from mira.cli.client import Client, Reply, connect, is_running, memory_exchange, unix_exchange
from mira.cli.options import CommandError
from mira.cli.program import Program
from mira.config import load
from mira.errors import ConfigError


@contextmanager
def raw_server(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Answers every connection with the same bytes and closes it; what was asked is gathered."""
    asked: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                request = b""
                while data := connection.recv(65536):
                    request += data
                    head, end, body = request.partition(b"\r\n\r\n")
                    length = next(
                        (int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0
                    )
                    if end and len(body) >= length:
                        break
                if request == b"stop":
                    return
                if request:
                    asked.append(request)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
            last.sendall(b"stop")
            last.shutdown(socket.SHUT_WR)
        thread.join()
        listener.close()


def http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


async def test_a_request_goes_over_the_socket_and_the_body_comes_back_unchanged(tmp_path):
    body = b'{ "object":"list", "data":[]}'
    with raw_server(tmp_path / "s", http("200 OK", body)) as asked:
        client = Client(unix_exchange(tmp_path / "s"), running=True)
        reply = await client.call("POST", "/nodes/a%2Fb", {"name": "é"}, {"limit": 3, "cursor": None})
    assert reply.body == body
    head, _, sent = asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /admin/v1/nodes/a%2Fb?limit=3 HTTP/1.1\r\n")
    assert json.loads(sent) == {"name": "é"}


async def test_a_refusal_is_the_apis_own_words_on_one_line(tmp_path):
    body = b'{"error": {"message": "amount: must be\\nabove 0", "type": "invalid_request_error"}}'
    with raw_server(tmp_path / "s", http("400 Bad Request", body)):
        client = Client(unix_exchange(tmp_path / "s"), running=True)
        with pytest.raises(CommandError, match=r"^amount: must be above 0$"):
            await client.call("POST", "/x")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "ended the connection"),
        (b"SSH-2.0-OpenSSH\r\n", "ended the connection"),
        (http("502 Bad Gateway", b"<html>"), "status 502"),
        (http("500 Oops", b'{"error": "text"}'), "status 500"),
        (http("500 Oops", b'{"error'), "status 500"),
        (http("307 Elsewhere", b""), "status 307"),
    ],
)
async def test_an_answer_that_is_none_is_a_clear_error(tmp_path, answer, words):
    with raw_server(tmp_path / "s", answer):
        client = Client(unix_exchange(tmp_path / "s"), running=True)
        with pytest.raises(CommandError, match=words):
            await client.call("GET", "/x")


def test_a_stale_a_missing_and_an_overlong_socket_mean_that_nothing_runs(tmp_path):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    assert not is_running(tmp_path / "stale")
    assert not is_running(tmp_path / "missing")
    assert not is_running(tmp_path / ("x" * 200))


def test_a_body_that_is_not_json_is_a_clear_error():
    assert Reply(204, b"").value is None
    with pytest.raises(CommandError, match="no JSON"):
        _ = Reply(200, b"{").value


async def test_an_application_in_memory_sees_the_owner_of_the_data_folder():
    seen = []

    async def application(scope, receive, send):
        message = await receive()
        seen.append((scope, message))
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b'{"a"', "more_body": True})
        await send({"type": "http.response.body", "body": b":1}"})

    client = Client(memory_exchange(application), running=False)
    reply = await client.request("PATCH", "/admin/v1/nodes/a%2Fb", {"draining": True}, {"q": "a b"})
    assert (reply.status, reply.value) == (201, {"a": 1})
    scope, message = seen[0]
    assert scope["mira.listener"] == "socket"
    assert (scope["method"], scope["path"], scope["query_string"]) == ("PATCH", "/admin/v1/nodes/a/b", b"q=a+b")
    assert message == {"type": "http.request", "body": b'{"draining":true}', "more_body": False}


async def test_an_application_that_says_nothing_is_a_clear_error():
    async def application(scope, receive, send):
        await receive()

    with pytest.raises(CommandError, match="did not answer"):
        await Client(memory_exchange(application), running=False).call("GET", "/x")


async def test_a_running_gateway_is_preferred_to_the_store(tmp_path):
    opened = []

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[]"})

    @asynccontextmanager
    async def open_application(config):
        opened.append(config.home)
        yield application
        opened.append("closed")

    program = Program(serve=lambda *_: 0, application=open_application, migrate=lambda *_: [])
    config = load({"MIRA_HOME": str(tmp_path)})
    with raw_server(tmp_path / "mira.sock", http("200 OK", b"[1]")):
        async with connect(config, program) as client:
            assert client.running
            assert (await client.call("GET", "/x")).value == [1]
    assert opened == []
    async with connect(config, program) as client:
        assert not client.running
        assert (await client.call("GET", "/x")).value == []
    assert opened == [tmp_path, "closed"]


async def test_a_data_folder_in_use_by_a_process_without_a_socket_is_said(tmp_path):
    @asynccontextmanager
    async def open_application(_config):
        raise ConfigError("the database is in use by another Mira process")
        yield

    program = Program(serve=lambda *_: 0, application=open_application, migrate=lambda *_: [])
    with pytest.raises(ConfigError, match="in use"):
        async with connect(load({"MIRA_HOME": str(tmp_path)}), program):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
def test_another_users_socket_is_said_to_be_that(tmp_path):
    with raw_server(tmp_path / "s", b""):
        (tmp_path / "s").chmod(0)
        try:
            with pytest.raises(CommandError, match="another user"):
                is_running(tmp_path / "s")
        finally:
            (tmp_path / "s").chmod(0o600)
