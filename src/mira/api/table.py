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
    portal_static,
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
from mira.api.portal import calls as portal_calls
from mira.api.portal import (
    connect,
    oidc,
    operating,
    people,
    session,
    shapes,
    shapes_admin,
    shapes_calls,
    shapes_models,
    shapes_operator,
    shapes_people,
    trail,
    users,
)
from mira.api.portal import keys as portal_keys
from mira.api.portal import models as portal_models
from mira.api.portal import usage as portal_usage
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
    SESSION = "session"
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

    `audits` is what the audit log calls a change by operators or under a session, "" for what changes nothing.

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
    audits: str | None = None
    status: int = 200

    def __post_init__(self) -> None:
        # Annotations bind no caller; a route that is open or unbilled by an oversight must not start.
        given: tuple[object, object] = (self.policy, self.billing)
        if not isinstance(given[0], Policy) or not isinstance(given[1], Billing):
            raise TypeError(f"{self.method} {self.path}: a route needs a policy and a billing class")
        if (self.endpoint is None) == (self.surface is None):
            raise TypeError(f"{self.method} {self.path}: a route has either an endpoint or a surface")
        people = self.policy in (Policy.OPERATOR, Policy.SESSION)
        if people and self.method != "GET" and self.audits is None:
            raise TypeError(f"{self.method} {self.path}: a change says what the audit log calls it")


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
_pages = _row(Policy.PUBLIC, "Portal pages")
_sign = _row(Policy.PUBLIC, "Portal")
_portal = _row(Policy.SESSION, "Portal")
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
    _files("POST", "/v1/files", files.create, "Keep a file, as OpenAI has it: a form with `file` and `purpose`",
           answer=files.FileObject),
    _files("GET", "/v1/files", files.listing, "The workspace's files", answer=files.FileObjects),
    _files("GET", "/v1/files/{id}", files.get_file, "A file of the workspace, as a download"),
    _files("GET", "/v1/files/{id}/content", files.content, "The same, under OpenAI's path"),
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

    _admin("GET", "/admin/v1/workspaces", admin.list_workspaces, "Every workspace",
           answer=shapes_admin.WorkspaceList),
    _admin("POST", "/admin/v1/workspaces", admin.create_workspace, "Make a workspace",
           body=bodies.NewWorkspace, answer=shapes_admin.WorkspaceRow, audits="workspace.create"),
    _admin("GET", "/admin/v1/workspaces/{id}", admin.get_workspace, "One workspace",
           answer=shapes_admin.WorkspaceRow),
    _admin("PATCH", "/admin/v1/workspaces/{id}", admin.change_workspace, "Rename",
           body=bodies.NewWorkspace, answer=shapes_admin.WorkspaceRow, audits="workspace.rename"),
    _admin("POST", "/admin/v1/workspaces/{id}/credits", admin.add_credits, "Top up",
           body=bodies.NewCredits, audits="credits.add"),
    _admin("GET", "/admin/v1/workspaces/{id}/transfers", admin.transfers, "The statement",
           answer=shapes_admin.TransferLines),
    _admin("GET", "/admin/v1/workspaces/{id}/keys", tenants.list_keys, "Keys, without secrets",
           answer=shapes_admin.KeyLines),
    _admin("POST", "/admin/v1/workspaces/{id}/keys", tenants.create_key, "Make a key; secret once",
           body=bodies.NewKey, answer=shapes_admin.KeyLineMade, audits="key.create"),
    _admin("PATCH", "/admin/v1/keys/{id}", tenants.change_key, "Change or disable a key",
           body=bodies.KeyChange, answer=shapes_admin.KeyLine, audits="key.change"),
    _admin("DELETE", "/admin/v1/keys/{id}", tenants.revoke_key, "Revoke a key", audits="key.revoke"),
    _admin("GET", "/admin/v1/keys/{id}/fetch", fetch.get_domains, "The sites that a key may fetch from"),
    _admin("PUT", "/admin/v1/keys/{id}/fetch", fetch.put_domains, "Narrow the sites that a key may fetch from",
           body=fetch.KeyDomains, answer=fetch.KeyDomains, audits="key.domains"),
    _admin("POST", "/admin/v1/fetch", fetch.fetch_here, "A web page for the operator, without a charge",
           errors=fetch.ERRORS, body=FetchRequest, answer=FetchAnswer, audits=""),
    _admin("GET", "/admin/v1/workspaces/{id}/members", tenants.list_members, "Members with their limits",
           answer=shapes_admin.MemberLines),
    _admin("POST", "/admin/v1/workspaces/{id}/members", tenants.create_member, "Add a member",
           body=bodies.NewMember, answer=shapes_admin.MemberLine, audits="member.create"),
    _admin("GET", "/admin/v1/members/{id}", tenants.get_member, "One member"),
    _admin("PATCH", "/admin/v1/members/{id}", tenants.change_member, "Change or disable",
           body=bodies.MemberChange, answer=shapes_admin.MemberLine, audits="member.change"),
    _admin("GET", "/admin/v1/nodes", admin.list_nodes, "The fleet, without secrets"),
    _admin("POST", "/admin/v1/nodes", admin.create_node, "Add a node", body=bodies.NewNode, audits="node.create"),
    _admin("GET", "/admin/v1/nodes/{name}", admin.get_node, "One node"),
    _admin("PATCH", "/admin/v1/nodes/{name}", admin.change_node, "Drain, disable or change",
           body=bodies.NodeChange, audits="node.change"),
    _admin("DELETE", "/admin/v1/nodes/{name}", admin.delete_node, "Remove a node made by this API",
           audits="node.delete"),
    _admin("POST", "/admin/v1/nodes/{name}/probe", admin.probe_node, "Ask a node for its models now", audits=""),
    _admin("POST", "/admin/v1/nodes/{name}/reconcile", admin.reconcile_node, "Compare our books with a node's usage",
           audits=""),
    _admin("POST", "/admin/v1/reload", admin.reload_configuration, "Read the configuration again",
           audits="configuration.reload"),
    _admin("GET", "/admin/v1/models", models.list_models, "The models of the fleet"),
    _admin("GET", "/admin/v1/usage", usage.usage, "Usage, as sums or calls", answer=shapes_admin.SumLines),
    _admin("GET", "/admin/v1/calls", portal_calls.list_any_calls, "Calls of all workspaces",
           answer=shapes_admin.CallLines),
    _admin("GET", "/admin/v1/calls/{id}", usage.get_call, "One call and its transfers"),
    _admin("GET", "/admin/v1/ledger/check", admin.check_ledger, "Every invariant of the ledger",
           answer=shapes_admin.LedgerCheck),

    _sign("GET", "/portal/v1/session", session.get_session, "Who is signed in", answer=shapes.Session),
    _sign("POST", "/portal/v1/session", session.sign_in, "Sign in", body=shapes.SignIn, answer=shapes.Session,
          audits="session.begin"),
    _sign("GET", "/portal/v1/oidc/start", oidc.start, "To the provider of single sign-on", status=303),
    _sign("GET", "/portal/v1/oidc/callback", oidc.callback, "Back from the provider", status=303,
          audits="session.begin"),
    _portal("DELETE", "/portal/v1/session", session.sign_out, "Sign out everywhere", audits="session.end_all",
            status=204),
    _portal("PUT", "/portal/v1/session/workspace", session.choose_workspace, "Go to another workspace",
            body=shapes.WorkspaceChoice, answer=shapes.Session, audits=""),
    _portal("PATCH", "/portal/v1/me", session.change_me, "Change the own name", body=shapes.Profile,
            answer=shapes.Session, audits="user.change"),
    _portal("PUT", "/portal/v1/me/password", session.change_password, "Change the own password",
            body=shapes.PasswordChange, answer=shapes.Session, audits="user.password"),
    _portal("GET", "/portal/v1/sessions", session.list_sessions, "The own sessions", answer=shapes.Sessions),
    _portal("DELETE", "/portal/v1/sessions/{id}", session.end_session, "End a session", audits="session.end",
            status=204),

    _portal("GET", "/portal/v1/connect", connect.connect, "How clients are pointed at this gateway",
            answer=connect.Connect),
    _portal("GET", "/portal/v1/overview", portal_usage.get_overview, "What a member wants to see first",
            answer=shapes_calls.Overview),
    _portal("GET", "/portal/v1/keys", portal_keys.list_keys, "The workspace's keys", answer=shapes.Keys),
    _portal("POST", "/portal/v1/keys", portal_keys.create_key, "Make a key; secret once", body=shapes.NewPortalKey,
            answer=shapes.KeyMade, audits="key.create", status=201),
    _portal("GET", "/portal/v1/keys/{id}", portal_keys.get_key, "One key", answer=shapes.KeyShown),
    _portal("PATCH", "/portal/v1/keys/{id}", portal_keys.change_key, "Change or disable a key",
            body=shapes.PortalKeyChange, answer=shapes.KeyShown, audits="key.change"),
    _portal("POST", "/portal/v1/keys/{id}/rotate", portal_keys.rotate_key, "Replace a key; secret once",
            body=shapes.Rotation, answer=shapes.KeyRotated, audits="key.rotate", status=201),
    _portal("DELETE", "/portal/v1/keys/{id}", portal_keys.revoke_key, "Revoke a key", audits="key.revoke", status=204),
    _portal("GET", "/portal/v1/keys/{id}/first-request", portal_keys.first_request, "Wait for a key's first call",
            answer=shapes_calls.FirstRequest),
    _portal("GET", "/portal/v1/models", portal_models.list_models, "The models", answer=shapes_models.Models),
    _portal("GET", "/portal/v1/calls", portal_calls.list_calls, "The workspace's calls", answer=shapes_calls.CallPage),
    _portal("GET", "/portal/v1/calls/{id}", portal_calls.get_call, "One call", answer=shapes_calls.CallDetail),
    _portal("GET", "/portal/v1/usage", portal_usage.get_usage, "Usage as sums", answer=shapes_calls.Usage),
    _portal("GET", "/portal/v1/credits", portal_usage.get_credits, "The credits", answer=shapes_calls.Credits),
    _portal("GET", "/portal/v1/transfers", portal_usage.list_transfers, "The statement",
            answer=shapes_calls.Statement),
    _portal("GET", "/portal/v1/members", people.list_members, "The members", answer=shapes_people.MemberList),
    _portal("GET", "/portal/v1/invitations", people.list_invitations, "Invitations into the workspace",
            answer=shapes_people.InvitationList),
    _portal("POST", "/portal/v1/invitations", people.invite, "Invite somebody; link once",
            body=shapes_people.NewInvitation, answer=shapes_people.InvitationMade, audits="invitation.create",
            status=201),
    _portal("DELETE", "/portal/v1/invitations/{id}", people.withdraw, "Withdraw an invitation",
            audits="invitation.withdraw", status=204),
    _sign("POST", "/portal/v1/invitations/look", people.look, "What an invitation is for",
          body=shapes_people.InvitationToken, answer=shapes_people.InvitationSeen),
    _sign("POST", "/portal/v1/invitations/accept", people.accept, "Accept an invitation, and sign in",
          body=shapes_people.InvitationAccepted, answer=shapes.Session, audits="invitation.accept"),
    _portal("GET", "/portal/v1/audit", trail.own_audit, "What was changed in the workspace", answer=shapes.AuditPage),
    _portal("GET", "/portal/v1/docs", trail.docs, "What examples are filled in with", answer=shapes_models.Docs),
    _admin("GET", "/admin/v1/workspaces/{id}/invitations", people.list_invitations_of, "Invitations into a workspace",
           answer=shapes_people.InvitationList),
    _admin("POST", "/admin/v1/workspaces/{id}/invitations", people.invite_into, "Invite somebody; link once",
           body=shapes_people.NewInvitation, answer=shapes_people.InvitationMade, audits="invitation.create",
           status=201),
    _admin("DELETE", "/admin/v1/invitations/{id}", people.withdraw_any, "Withdraw an invitation",
           audits="invitation.withdraw", status=204),
    _admin("GET", "/admin/v1/calls/{id}/detail", portal_calls.get_any_call, "One call, and how its cost adds up",
           answer=shapes_calls.CallDetail),
    _admin("GET", "/admin/v1/fleet", operating.get_fleet, "The fleet with its standing and rates",
           answer=shapes_operator.FleetShown),
    _admin("GET", "/admin/v1/fleet/{name}", operating.get_fleet_node, "One node with its standing and rates",
           answer=shapes_operator.NodeRow),
    _admin("POST", "/admin/v1/nodes/test", operating.try_node, "Try a node that is to be added",
           body=shapes_operator.NodeTrial, answer=shapes_operator.TrialResult, audits=""),
    _admin("GET", "/admin/v1/prices", operating.list_prices, "The prices of all models",
           answer=shapes_operator.Prices),
    _admin("PUT", "/admin/v1/prices/{model:path}", operating.put_price, "Set the price of a model",
           body=shapes_operator.NewPrice, answer=shapes_operator.PriceRow, audits="price.set"),
    _admin("DELETE", "/admin/v1/prices/{model:path}", operating.delete_price, "Take back a price that was set",
           audits="price.delete", status=204),
    _admin("GET", "/admin/v1/margin", operating.get_margin, "What is billed, and what it costs",
           answer=shapes_operator.Margin),
    _admin("GET", "/admin/v1/settings", operating.get_settings, "The settings in effect",
           answer=shapes_operator.SettingsShown),
    _admin("GET", "/admin/v1/users", users.list_users, "Every user", answer=shapes_people.UserList),
    _admin("PATCH", "/admin/v1/users/{id}", users.change_user, "Change or disable a user",
           body=shapes_people.UserChange, answer=shapes_people.UserRow, audits="user.change"),
    _admin("POST", "/admin/v1/users/{id}/reset-password", users.reset_password, "A new password; shown once",
           answer=shapes_people.PasswordReset, audits="user.reset_password"),
    _admin("GET", "/admin/v1/audit", trail.whole_audit, "Who changed what", answer=shapes.AuditPage),

    _pages("GET", "/", portal_static.index, "The portal"),
    _pages("GET", "/assets/{name}", portal_static.asset, "A file of the portal"),
    _pages("GET", "/theme.js", portal_static.top_file, "Sets the portal's theme before it is drawn"),
    _pages("GET", "/icon.svg", portal_static.top_file, "The portal's icon"),
    _pages("GET", "/portal", portal_static.to_index, "The portal"),
)
# fmt: on
