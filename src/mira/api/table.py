"""The whole API at a glance: path, who may call it, how it is billed, what goes in and out.

Every row must say its policy and its billing class; a row without one cannot be written. The OpenAPI document and the
reference page are made from these rows.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from mira.api import (
    admin,
    bodies,
    extras,
    fetch,
    files,
    images,
    models,
    reference,
    speech,
    standing,
    status,
    tenants,
    transcriptions,
    usage,
    video_content,
    videos,
)
from mira.api.services import Asked, Services
from mira.api.video_bodies import VideoBody
from mira.calls.call import Surface
from mira.codecs.chat import CHAT
from mira.codecs.chat import wire as chat
from mira.codecs.codec import Codec
from mira.codecs.embeddings import EMBEDDINGS
from mira.codecs.embeddings import Request as Embeddings
from mira.codecs.media import images as image_wire
from mira.codecs.media import speech as speech_wire
from mira.codecs.messages import MESSAGES
from mira.codecs.messages import wire as messages
from mira.codecs.responses import RESPONSES
from mira.codecs.responses import wire as responses
from mira.codecs.responses.memory import RECALL
from mira.core.caller import Face
from mira.fetch.shapes import FetchAnswer, FetchRequest


class Policy(Enum):
    """Who may call a route."""

    PUBLIC = "public"
    PROXY_KEY = "proxy key"
    INFERENCE_KEY = "inference key"
    OPERATOR = "operator"
    LOOPBACK_OR_OPERATOR = "loopback or operator"


class Billing(Enum):
    """What a call of a route costs."""

    TOKENS = "tokens"
    MEDIA = "media"
    FETCH = "fetch"
    FREE = "free"


Endpoint = Callable[[Services, Asked], Awaitable[Response]]


class Row(Struct, frozen=True, kw_only=True):
    """One route. A model route names its `surface` (relayed), every other its `endpoint` (a handler).

    `errors` is the protocol whose shape a handler's errors have; on a route `of_both` vendors, clients of Anthropic get
    theirs.
    """

    method: str
    path: str
    policy: Policy
    billing: Billing
    summary: str
    group: str
    endpoint: Endpoint | None = None
    surface: Surface | None = None
    errors: Codec = CHAT
    of_both: bool = False
    body: type[Struct] | None = None
    answer: type[Struct] | None = None

    def __post_init__(self) -> None:
        # Annotations bind no caller; a route that is open or unbilled by an oversight must not start.
        given: tuple[object, object] = (self.policy, self.billing)
        if not isinstance(given[0], Policy) or not isinstance(given[1], Billing):
            raise TypeError(f"{self.method} {self.path}: a route needs a policy and a billing class")
        if (self.endpoint is None) == (self.surface is None):
            raise TypeError(f"{self.method} {self.path}: a route has either an endpoint or a surface")


def _model(path: str, surface: Surface, group: str, summary: str, body: type[Struct]) -> Row:
    policy = Policy.PROXY_KEY if surface.face is Face.PROXY else Policy.INFERENCE_KEY
    return Row(method="POST", path=path, policy=policy, billing=Billing.TOKENS, summary=summary, group=group,
               surface=surface, body=body)  # fmt: skip


def _row(policy: Policy, group: str) -> Callable[..., Row]:
    def row(method: str, path: str, endpoint: Endpoint, summary: str, **more: Any) -> Row:
        return Row(method=method, path=path, endpoint=endpoint, summary=summary, policy=policy, group=group,
                   **{"billing": Billing.FREE, **more})  # fmt: skip

    return row


_public = _row(Policy.PUBLIC, "Status")
_proxy_models = _row(Policy.PROXY_KEY, "Models")
_extras = _row(Policy.PROXY_KEY, "Extras")
_fetch = _row(Policy.PROXY_KEY, "Fetch")
_files = _row(Policy.PROXY_KEY, "Files")
_images = _row(Policy.PROXY_KEY, "Images")
_audio = _row(Policy.PROXY_KEY, "Audio")
_videos = _row(Policy.PROXY_KEY, "Videos")
_messages = _row(Policy.PROXY_KEY, "Messages")
_inference = _row(Policy.INFERENCE_KEY, "Inference Service")
_admin = _row(Policy.OPERATOR, "Operator API")
_health = _row(Policy.PUBLIC, "Inference Service")
_metrics = _row(Policy.LOOPBACK_OR_OPERATOR, "Status")

_MESSAGES = Surface(MESSAGES, Face.PROXY, "msg_", (b"x-request-id", b"request-id"))
_RESPONSES = Surface(RESPONSES, Face.PROXY, "resp_", recall=RECALL)
MESSAGES_SUMMARY = "Anthropic Messages: streaming, tools, thinking"
RESPONSES_SUMMARY = "OpenAI Responses: streaming, tools, reasoning"
EMBEDDINGS_SUMMARY = "Embeddings of texts or tokens, as OpenAI has them"
CHAT_SUMMARY = "Chat Completions: streaming, tools, images, structured output"


def _video_rows(row: Callable[..., Row], prefix: str) -> tuple[Row, ...]:
    """OpenAI's routes of videos, on one face of Mira."""
    one = f"{prefix}/videos/{{id}}"
    return (
        row("POST", f"{prefix}/videos", videos.create, "Make a video: a job, as OpenAI has it; a form or JSON",
            billing=Billing.MEDIA, body=VideoBody, answer=videos.Video),
        row("GET", f"{prefix}/videos", videos.listing, "The workspace's jobs for videos", answer=videos.Videos),
        row("GET", one, videos.retrieve, "How a job for a video stands", answer=videos.Video),
        row("GET", f"{one}/content", video_content.content, "The finished video, as a download"),
        row("DELETE", one, videos.remove, "Cancel a job for a video, or forget one that has ended"),
    )  # fmt: skip


# fmt: off
TABLE: tuple[Row, ...] = (
    _model("/v1/chat/completions", Surface(CHAT, Face.PROXY), "Chat Completions", CHAT_SUMMARY, chat.Request),
    _model("/v1/messages", _MESSAGES, "Messages", MESSAGES_SUMMARY, messages.Request),
    _messages("POST", "/v1/messages/count_tokens", extras.count_messages, "Count the input of a Messages request",
              errors=MESSAGES),
    _model("/v1/responses", _RESPONSES, "Responses", RESPONSES_SUMMARY, responses.Request),
    _model("/v1/embeddings", Surface(EMBEDDINGS, Face.PROXY), "Embeddings", EMBEDDINGS_SUMMARY, Embeddings),
    _fetch("POST", "/v1/fetch", fetch.fetch, "A web page as markdown, HTML or text", billing=Billing.FETCH,
           errors=fetch.ERRORS, body=FetchRequest, answer=FetchAnswer),
    _images("POST", "/v1/image", images.short, "Make an image, or change one", billing=Billing.MEDIA,
            body=images.ShortBody),
    _images("POST", "/v1/images/generations", images.generate, "Make images, as OpenAI has them; streaming",
            billing=Billing.MEDIA, body=image_wire.Body),
    _images("POST", "/v1/images/edits", images.edit, "Change images, as OpenAI has them: a form or JSON; streaming",
            billing=Billing.MEDIA, body=images.EditBody),
    _audio("POST", "/v1/speech", speech.short, "Speak a text: sound, or JSON with the sound in it",
           billing=Billing.MEDIA, body=speech_wire.ShortSpeechBody),
    _audio("POST", "/v1/audio/speech", speech.speech, "Speak a text, as OpenAI has it; sound or events as it is made",
           billing=Billing.MEDIA, body=speech_wire.SpeechBody),
    _audio("POST", "/v1/audio/transcriptions", transcriptions.transcribe, "Write down what a sound file says: a form",
           billing=Billing.MEDIA, body=transcriptions.TranscriptionBody),
    *_video_rows(_videos, "/v1"),
    _videos("POST", "/v1/video", videos.create, "Make a video: a job, or with `?wait=SECONDS` its end",
            billing=Billing.MEDIA, body=VideoBody, answer=videos.Video),
    _videos("GET", "/v1/video/{id}", videos.retrieve, "How a job for a video stands", answer=videos.Video),
    _videos("GET", "/v1/video/{id}/content", video_content.content, "The finished video, as a download"),
    _videos("DELETE", "/v1/video/{id}", videos.remove, "Cancel a job for a video, or forget one that has ended"),
    _videos("POST", "/v1/videos/edits", videos.refuse, "Not available: says what to do instead"),
    _videos("POST", "/v1/videos/extensions", videos.refuse, "Not available: says what to do instead"),
    _videos("POST", "/v1/videos/characters", videos.refuse, "Not available: says what to do instead"),
    _videos("GET", "/v1/videos/characters/{id}", videos.refuse, "Not available: says what to do instead"),
    _videos("POST", "/v1/videos/{id}/remix", videos.refuse, "Not available: says what to do instead"),
    _proxy_models("GET", "/v1/models", models.list_models, "The models of the fleet, with prices and capabilities",
                  of_both=True),
    _proxy_models("GET", "/v1/models/{id:path}", models.get_model, "One model", of_both=True),
    _files("POST", "/v1/upload", files.upload, "Keep a file: base64 in JSON, or a form with the part `file`",
           body=files.Upload, answer=files.Uploaded),
    _files("GET", "/v1/files/{id}", files.get_file, "A file of the workspace, as a download"),
    _files("GET", "/v1/files/{id}/metadata", files.describe_file, "What is known of a file", answer=files.Uploaded),
    _files("DELETE", "/v1/files/{id}", files.delete_file, "Remove a file"),
    _extras("POST", "/v1/extras/token-count", extras.token_count, "Count tokens without a full request",
            body=bodies.TokenCount, answer=bodies.CountedTokens),
    _extras("GET", "/v1/extras/credits", extras.credits_of, "The workspace's credits", answer=bodies.Credits),
    _extras("GET", "/v1/extras/nodes", standing.list_nodes, "The nodes: name, state, models, latency",
            answer=bodies.Nodes),
    _extras("GET", "/v1/extras/webhook-secret", videos.webhook_secret, "What the workspace's webhooks are signed with"),
    _extras("GET", "/v1/extras/usage", extras.usage, "The workspace's calls: time, model, key, usage, cost"),

    _model("/inference/v1/chat/completions", Surface(CHAT, Face.INFERENCE), "Inference Service", CHAT_SUMMARY,
           chat.Request),
    _model("/inference/v1/embeddings", Surface(EMBEDDINGS, Face.INFERENCE), "Inference Service", EMBEDDINGS_SUMMARY,
           Embeddings),
    *_video_rows(_inference, "/inference/v1"),
    _inference("POST", "/inference/v1/images/generations", images.generate, "Make images", billing=Billing.MEDIA,
               body=image_wire.Body),
    _inference("POST", "/inference/v1/images/edits", images.edit, "Change images", billing=Billing.MEDIA,
               body=images.EditBody),
    _inference("POST", "/inference/v1/audio/speech", speech.speech, "Speak a text", billing=Billing.MEDIA,
               body=speech_wire.SpeechBody),
    _inference("POST", "/inference/v1/audio/transcriptions", transcriptions.transcribe, "Write down what a file says",
               billing=Billing.MEDIA, body=transcriptions.TranscriptionBody),
    _inference("GET", "/inference/v1/models", models.list_models, "The models of the Inference Service", of_both=True),
    _inference("GET", "/inference/v1/credits", extras.credits_of, "The workspace's credits", answer=bodies.Credits),
    _inference("GET", "/inference/v1/usage", extras.usage, "The workspace's calls"),
    _health("GET", "/inference/v1/health", status.inference_health, "Health; no key", answer=bodies.Health),

    _public("GET", "/health", status.health, "The process answers"),
    _public("GET", "/ready", status.ready, "Calls can be admitted"),
    _metrics("GET", "/metrics", status.metrics, "Figures for Prometheus"),
    _public("GET", "/openapi.json", reference.openapi, "This API as an OpenAPI document"),
    _public("GET", "/docs", reference.docs, "The API reference as a page"),

    _admin("GET", "/admin/v1/workspaces", admin.list_workspaces, "Every workspace"),
    _admin("POST", "/admin/v1/workspaces", admin.create_workspace, "Make a workspace", body=bodies.NewWorkspace),
    _admin("GET", "/admin/v1/workspaces/{id}", admin.get_workspace, "One workspace"),
    _admin("PATCH", "/admin/v1/workspaces/{id}", admin.change_workspace, "Rename", body=bodies.NewWorkspace),
    _admin("POST", "/admin/v1/workspaces/{id}/credits", admin.add_credits, "Top up", body=bodies.NewCredits),
    _admin("GET", "/admin/v1/workspaces/{id}/transfers", admin.transfers, "The statement"),
    _admin("GET", "/admin/v1/workspaces/{id}/keys", tenants.list_keys, "Keys, without secrets"),
    _admin("POST", "/admin/v1/workspaces/{id}/keys", tenants.create_key, "Make a key; secret once", body=bodies.NewKey),
    _admin("PATCH", "/admin/v1/keys/{id}", tenants.change_key, "Change or disable a key", body=bodies.KeyChange),
    _admin("DELETE", "/admin/v1/keys/{id}", tenants.revoke_key, "Revoke a key"),
    _admin("GET", "/admin/v1/keys/{id}/fetch", fetch.get_domains, "The sites that a key may fetch from"),
    _admin("PUT", "/admin/v1/keys/{id}/fetch", fetch.put_domains, "Narrow the sites that a key may fetch from",
           body=fetch.KeyDomains, answer=fetch.KeyDomains),
    _admin("POST", "/admin/v1/fetch", fetch.fetch_here, "A web page for the operator, without a charge",
           errors=fetch.ERRORS, body=FetchRequest, answer=FetchAnswer),
    _admin("GET", "/admin/v1/workspaces/{id}/members", tenants.list_members, "Members with their limits"),
    _admin("POST", "/admin/v1/workspaces/{id}/members", tenants.create_member, "Add a member", body=bodies.NewMember),
    _admin("GET", "/admin/v1/members/{id}", tenants.get_member, "One member"),
    _admin("PATCH", "/admin/v1/members/{id}", tenants.change_member, "Change or disable", body=bodies.MemberChange),
    _admin("GET", "/admin/v1/nodes", admin.list_nodes, "The fleet, without secrets"),
    _admin("POST", "/admin/v1/nodes", admin.create_node, "Add a node", body=bodies.NewNode),
    _admin("GET", "/admin/v1/nodes/{name}", admin.get_node, "One node"),
    _admin("PATCH", "/admin/v1/nodes/{name}", admin.change_node, "Drain, disable or change", body=bodies.NodeChange),
    _admin("DELETE", "/admin/v1/nodes/{name}", admin.delete_node, "Remove a node made by this API"),
    _admin("POST", "/admin/v1/nodes/{name}/probe", admin.probe_node, "Ask a node for its models now"),
    _admin("POST", "/admin/v1/nodes/{name}/reconcile", admin.reconcile_node, "Compare our books with a node's usage"),
    _admin("GET", "/admin/v1/models", models.list_models, "The models of the fleet"),
    _admin("GET", "/admin/v1/usage", usage.usage, "Usage, as sums or calls"),
    _admin("GET", "/admin/v1/calls", usage.calls, "Calls of all workspaces"),
    _admin("GET", "/admin/v1/calls/{id}", usage.get_call, "One call and its transfers"),
    _admin("GET", "/admin/v1/ledger/check", admin.check_ledger, "Every invariant of the ledger"),
)
# fmt: on
