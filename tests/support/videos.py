"""A scripted upstream for videos in every shape: OpenAI's jobs, Veo's operations, OpenRouter's jobs, another Mira's.

A real HTTP server in threads. Tests stop it at a stage (`gate`), let jobs fail, and count what it was asked.
"""

import base64
import json
import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 120.0
PIECE = bytes(range(256)) * 256


class Work:
    """One job at the upstream."""

    def __init__(self, name: str, fields: dict[str, Any], image: bytes | None) -> None:
        self.name = name
        self.fields = fields
        self.image = image
        self.polls = 0
        self.status = "queued"


class Stage:
    """A point that requests pass: `arrived` is how many came, and while it is `shut` they wait there."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Semaphore(0)

    def pass_(self) -> None:
        self.arrived.release()
        self.open.wait(PATIENCE_S)

    def shut(self) -> None:
        while self.arrived.acquire(blocking=False):
            pass
        self.open.clear()

    def wait(self, timeout_s: float = PATIENCE_S) -> None:
        assert self.arrived.acquire(timeout=timeout_s), "nobody came"


class VideoUpstream:
    """Answers under `/openai/v1`, `/gemini`, `/router/api/v1` and `/mira/v1`; done after `polls_until_done` looks.

    `fate` is what becomes of jobs: completed, failed, moderation or lost. `cost` is what it says that a job cost.
    """

    def __init__(self) -> None:
        self.polls_until_done = 2
        self.fate = "completed"
        self.cost: float | None = None
        self.size_bytes = 300_000
        self.submit_status = 200
        self.content_status = 200
        self.redirect: str | None = None
        self.works: dict[str, Work] = {}
        self.by_key: dict[str, Work] = {}
        self.submissions: list[tuple[str, dict[str, str]]] = []
        self.deleted: list[str] = []
        self.stages = {name: Stage() for name in ("submit", "submitted", "poll", "content")}
        self._numbers = count()
        self._lock = threading.Lock()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                upstream.answer(self, "POST")

            def do_GET(self) -> None:
                upstream.answer(self, "GET")

            def do_DELETE(self) -> None:
                upstream.answer(self, "DELETE")

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Gateways that are killed cut their connections."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def video(self) -> bytes:
        """What a finished video is."""
        return (PIECE * (self.size_bytes // len(PIECE) + 1))[: self.size_bytes]

    def nodes(self, *names: str, **more: Any) -> list[dict[str, Any]]:
        """The nodes that stand before it, as `[[nodes]]`."""
        rows = {
            "sora": {"kind": "openai", "base_url": f"{self.url}/openai/v1", "models": ["sora-2"]},
            "veo": {"kind": "gemini", "base_url": f"{self.url}/gemini", "models": ["veo-3.1"]},
            "router": {
                "kind": "openai-compatible",
                "base_url": f"{self.url}/router/api/v1",
                "models": ["acme/film-1"],
                "provider": "",
                "reported_cost": True,
            },
            "other": {"kind": "mira", "base_url": f"{self.url}/mira/v1", "models": ["studio/clip-1"]},
        }
        return [{"name": name, "api_key": f"key-of-{name}-0001", **rows[name], **more} for name in names or rows]

    def reset(self) -> None:
        for stage in self.stages.values():
            stage.open.set()
        with self._lock:
            self.works.clear()
            self.by_key.clear()
            self.submissions.clear()
            self.deleted.clear()
        self.polls_until_done, self.fate, self.cost = 2, "completed", None
        self.size_bytes, self.submit_status, self.content_status = 300_000, 200, 200
        self.redirect = None

    def start(self) -> "VideoUpstream":
        self._thread.start()
        return self

    def stop(self) -> None:
        for stage in self.stages.values():
            stage.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)

    # Answering

    def answer(self, request: Any, method: str) -> None:
        length = int(request.headers.get("content-length") or 0)
        body = request.rfile.read(length)
        shape, _, path = urlsplit(request.path).path.lstrip("/").partition("/")
        if shape == "public":
            assert "authorization" not in request.headers
            self._content(request, "elsewhere")
            return
        key = {"gemini": "x-goog-api-key"}.get(shape, "authorization")
        names = {"openai": "sora", "gemini": "veo", "router": "router", "mira": "other"}
        told = request.headers.get(key, "").removeprefix("Bearer ")
        if told != f"key-of-{names[shape]}-0001":
            self._json(request, 401, {"error": {"message": "a wrong key", "type": "invalid_request_error"}})
        elif method == "POST":
            self._submit(request, shape, body)
        elif path.endswith(("/content", ":download")) or "/files/" in path:
            self._content(request, path)
        else:
            self._look(request, shape, path, delete=method == "DELETE")

    def _submit(self, request: Any, shape: str, body: bytes) -> None:
        self.stages["submit"].pass_()
        if self.submit_status != 200:
            self._json(request, self.submit_status, {"error": {"message": "no", "type": "server_error", "code": "x"}})
            return
        fields, image = _read(request.headers.get("content-type", ""), body)
        key = request.headers.get("idempotency-key", "")
        with self._lock:
            self.submissions.append((shape, dict(request.headers.items())))
            known = self.by_key.get(key) if shape == "mira" else None
            work = known or Work(f"job-{next(self._numbers)}", fields, image)
            self.works[work.name] = self.by_key[key] = work
        self.stages["submitted"].pass_()
        if shape == "gemini":
            self._json(request, 200, {"name": f"models/veo-3.1/operations/{work.name}"})
        elif shape == "router":
            self._json(
                request, 202, {"id": work.name, "polling_url": f"/api/v1/videos/{work.name}", "status": "pending"}
            )
        else:
            self._json(request, 200, {"id": work.name, "object": "video", "status": "queued", "progress": 0})

    def _look(self, request: Any, shape: str, path: str, *, delete: bool) -> None:
        name = path.rpartition("/")[2]
        with self._lock:
            work = self.works.get(name)
        if work is None or self.fate == "lost":
            self._json(request, 404, {"error": {"message": "no such job", "type": "invalid_request_error"}})
        elif delete:
            self.deleted.append(name)
            self._json(request, 200, {"id": name, "object": "video.deleted", "deleted": True})
        else:
            self.stages["poll"].pass_()
            work.polls += 1
            done = work.polls >= self.polls_until_done
            self._json(request, 200, {"gemini": self._veo, "router": self._router}.get(shape, self._openai)(work, done))

    def _openai(self, work: Work, done: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": work.name, "object": "video", "seconds": str(work.fields.get("seconds", 4))}
        if not done:
            return {**shown, "status": "in_progress", "progress": min(work.polls * 30, 90)}
        if self.fate != "completed":
            code = "moderation_blocked" if self.fate == "moderation" else "video_generation_failed"
            return {**shown, "status": "failed", "error": {"code": code, "message": "the node's own secret words"}}
        usage = {} if self.cost is None else {"usage": {"cost": self.cost}}
        return {**shown, "status": "completed", "progress": 100, **usage}

    def _veo(self, work: Work, done: bool) -> dict[str, Any]:
        name = f"models/veo-3.1/operations/{work.name}"
        if not done:
            return {"name": name, "metadata": {"@type": "x"}}
        if self.fate == "moderation":
            result: dict[str, Any] = {
                "raiMediaFilteredCount": 1,
                "raiMediaFilteredReasons": ["the node's own secret words"],
            }
            return {"name": name, "done": True, "response": {"generateVideoResponse": result}}
        if self.fate == "failed":
            return {"name": name, "done": True, "error": {"code": 13, "message": "the node's own secret words"}}
        uri = f"{self.url}/gemini/v1beta/files/{work.name}:download?alt=media"
        result = {"generatedSamples": [{"video": {"uri": uri}}]}
        return {"name": name, "done": True, "response": {"generateVideoResponse": result}}

    def _router(self, work: Work, done: bool) -> dict[str, Any]:
        if not done:
            return {"id": work.name, "status": "in_progress"}
        if self.fate != "completed":
            return {"id": work.name, "status": "failed", "error": "the node's own secret words: " + self.fate}
        urls = [f"{self.url}/router/api/v1/videos/{work.name}/content?index=0"]
        usage = {} if self.cost is None else {"usage": {"cost": self.cost}}
        return {"id": work.name, "status": "completed", "unsigned_urls": urls, **usage}

    def _content(self, request: Any, path: str) -> None:
        self.stages["content"].pass_()
        if self.redirect is not None and not path.startswith("elsewhere"):
            request.send_response(302)
            request.send_header("location", self.redirect)
            request.send_header("content-length", "0")
            request.end_headers()
            return
        if self.content_status != 200:
            self._json(request, self.content_status, {"error": {"message": "no"}})
            return
        request.send_response(200)
        request.send_header("content-type", "video/mp4")
        request.send_header("content-length", str(self.size_bytes))
        request.end_headers()
        left = self.size_bytes
        while left:
            piece = PIECE[: min(left, len(PIECE))]
            request.wfile.write(piece)
            left -= len(piece)

    def _json(self, request: Any, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)


def _read(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes | None]:
    """The fields of a submission, and its picture."""
    if not content_type.startswith("multipart/"):
        fields = json.loads(body)
        frames = fields.get("frame_images")
        if frames:
            return fields, base64.b64decode(frames[0]["image_url"]["url"].partition(",")[2])
        inline = fields.get("instances", [{}])[0].get("image")
        return fields, base64.b64decode(inline["bytesBase64Encoded"]) if inline else None
    message = BytesParser().parsebytes(f"content-type: {content_type}\r\n\r\n".encode() + body)
    fields, image = {}, None
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if name == "input_reference":
            image = data
        else:
            fields[name] = data.decode()
    return fields, image
