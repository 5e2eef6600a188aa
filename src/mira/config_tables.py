"""The tables of `mira.toml`: their settings, types and defaults. `docs/configuration.md` says what each does."""

from typing import Annotated, Literal

import msgspec
from msgspec import Struct

NodeKind = Literal["mira", "openai", "anthropic", "gemini", "openai-compatible", "local", "local-media"]


class NodeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[nodes]]` entry. `origin` tells where it stands: file, environment or api.

    `first_token_s` is how long its first content may take, 0 for any time.
    """

    name: str
    kind: NodeKind
    base_url: str = ""
    api_key: str = ""
    weight: float = 1.0
    models: tuple[str, ...] | None = None
    markup: str = "1.0"
    reported_cost: bool = False
    max_in_flight: int | None = None
    first_token_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    provider: str | None = None
    endpoint: Literal["auto", "chat", "responses"] = "auto"
    image_route: Literal["auto", "chat", "images"] = "auto"
    origin: Literal["file", "environment", "api"] = "file"


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[server]` table. `keepalive_s` is how long a stream may be silent for its client.

    `max_streams` is how many model calls run at a time, `max_connections_per_ip` how many connections one address may
    have (0 for any number). `trusted_proxies` are addresses and networks of proxies whose word is believed about where
    a request comes from. After SIGTERM connections are accepted for `unready_s`, and calls may finish for `drain_s`.
    """

    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    keepalive_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    max_streams: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    max_connections_per_ip: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 2048
    unready_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 2.0
    drain_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 120


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[log]` table. Without a `format` a terminal gets text, everything else JSON."""

    format: Literal["json", "text"] | None = None
    level: Literal["debug", "info", "warning", "error"] = "info"


class LedgerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[ledger]` table. `durable` waits for the hold's disk sync before a call is dispatched.

    `retention_days` is how long call records are kept, `audit_days` entries of the audit log; without them, for ever. A
    call for which a shared database takes longer than `late_s` is refused.
    """

    dispatch: Literal["decision", "durable"] = "decision"
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] | None = None
    audit_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] | None = None
    late_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 0.8


class FilesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[files]` table: the largest upload, and what a workspace may keep, in MiB."""

    max_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 25
    quota_mib: Annotated[int, msgspec.Meta(ge=0)] = 1024


class FetchConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[fetch]` table. `allow` is added to `allow_private_networks`, `price` is credits per page as decimal text.

    `chromium` is the browser for pages that need one; without it the usual names are looked for.
    """

    allow: tuple[str, ...] = ()
    price: str = "0.001"
    chromium: str | None = None


class VideoConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[video]` table. `poll_s` is how soon a node is first asked after a job, and then less and less often.

    A job that is not done after `deadline_s` is given up. A finished video can be had for `keep_hours`; it is kept in
    the file store where it is not larger than `store_mib` (0: none is), else handed on from its node.
    """

    poll_s: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 2.0
    deadline_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 3600
    keep_hours: Annotated[int, msgspec.Meta(ge=1, le=8760)] = 24
    store_mib: Annotated[int, msgspec.Meta(ge=0, le=10_240)] = 512


class DefaultsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[defaults]` table: the model for a body without one, by what is asked for."""

    image: str | None = None
    video: str | None = None
    speech: str | None = None
    transcription: str | None = None


class OidcConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[oidc]` table: single sign-on at the portal. `operators` are the addresses of those who come as such."""

    issuer: str
    client_id: str
    client_secret: str
    operators: tuple[str, ...] = ()
