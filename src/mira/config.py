"""One frozen configuration, read once from flags, environment and `mira.toml`, in that order of precedence.

`MIRA_X` in the environment is top-level `x` in the file. A secret in the file may be written `"env:NAME"` or
`"file:PATH"`. Unknown keys are refused: a misspelt setting must not be silently nothing.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from mira.config_tables import (
    DefaultsConfig,
    FetchConfig,
    FilesConfig,
    LedgerConfig,
    LogConfig,
    NodeConfig,
    NodeKind,
    OidcConfig,
    ServerConfig,
    VideoConfig,
)
from mira.errors import ConfigError

MIN_SECRET_CHARACTERS = 32
DEFAULT_PORT = 4000

#: Providers whose usual environment variable makes a node: variable → (name, kind, base URL, provider prefix).
#: OpenRouter lists ids with their provider already in front, hence its empty prefix.
PROVIDER_KEYS: dict[str, tuple[str, NodeKind, str, str]] = {
    "OPENAI_API_KEY": ("openai", "openai", "https://api.openai.com/v1", "openai"),
    "ANTHROPIC_API_KEY": ("anthropic", "anthropic", "https://api.anthropic.com", "anthropic"),
    "GEMINI_API_KEY": ("gemini", "gemini", "https://generativelanguage.googleapis.com", "google"),
    "OPENROUTER_API_KEY": ("openrouter", "openai-compatible", "https://openrouter.ai/api/v1", ""),
    "GROQ_API_KEY": ("groq", "openai-compatible", "https://api.groq.com/openai/v1", "groq"),
    "MISTRAL_API_KEY": ("mistral", "openai-compatible", "https://api.mistral.ai/v1", "mistral"),
    "DEEPSEEK_API_KEY": ("deepseek", "openai-compatible", "https://api.deepseek.com/v1", "deepseek"),
    "XAI_API_KEY": ("xai", "openai-compatible", "https://api.x.ai/v1", "x-ai"),
}


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it stands, before the environment is laid over it."""

    home: str | None = None
    secret_key: str | None = None
    public_url: str | None = None
    host: str | None = None
    port: int | None = None
    database_url: str | None = None
    files_url: str | None = None
    admin_key: str | None = None
    bootstrap_key: str | None = None
    bootstrap_inference_key: str | None = None
    bootstrap_credits: str | None = None
    local_node: str | bool | None = None
    local_model: str | None = None
    admin_listen: str | None = None
    allow_private_networks: str | tuple[str, ...] | None = None
    server: ServerConfig = ServerConfig()
    log: LogConfig = LogConfig()
    ledger: LedgerConfig = LedgerConfig()
    fetch: FetchConfig = FetchConfig()
    files: FilesConfig = FilesConfig()
    defaults: DefaultsConfig = DefaultsConfig()
    oidc: OidcConfig | None = None
    video: VideoConfig = VideoConfig()
    nodes: tuple[NodeConfig, ...] = ()
    prices: tuple[dict[str, Any], ...] = ()
    models: tuple[dict[str, Any], ...] = ()


class Config(Struct, frozen=True, kw_only=True):
    """Everything that a process needs to know before it starts.

    `host` None means all interfaces. `secret_key` None means that it is made in the data folder. `path` is the file
    that was read, if any. `allow_private_networks` are entries for `fetch.addresses.parse_allowed`. `prices` are rows
    for `core.price_rows`, each with its `model`. `models` are rows for `core.model_rows`.
    `notices` are lines for the operator, printed at the start.
    """

    home: Path
    path: Path | None
    secret_key: str | None
    public_url: str | None
    host: str | None
    port: int
    database_url: str
    files_url: str
    admin_key: str | None
    bootstrap_key: str | None
    bootstrap_inference_key: str | None
    bootstrap_credits: str
    local_node: bool
    local_model: str
    admin_listen: tuple[str, int] | None
    allow_private_networks: tuple[str, ...]
    server: ServerConfig
    log: LogConfig
    ledger: LedgerConfig
    fetch: FetchConfig
    files: FilesConfig
    defaults: DefaultsConfig
    oidc: OidcConfig | None
    video: VideoConfig
    nodes: tuple[NodeConfig, ...]
    prices: tuple[dict[str, Any], ...]
    models: tuple[dict[str, Any], ...]
    notices: tuple[str, ...]

    @property
    def path_prefix(self) -> str:
        """The path under which a reverse proxy shows Mira, from `public_url`; empty for the root."""
        return urlsplit(self.public_url).path.rstrip("/") if self.public_url else ""

    @property
    def base_url(self) -> str:
        """The address that users are told."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "localhost" if self.host in (None, "0.0.0.0", "::") else self.host  # noqa: S104 - what is listened on
        return f"http://{f'[{host}]' if ':' in str(host) else host}:{self.port}"

    @property
    def socket_path(self) -> Path:
        """The Unix socket through which the commands speak to a running gateway."""
        return self.home / "mira.sock"


def load(environ: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Config:
    """Reads the configuration; ConfigError names the setting that is wrong and what to do."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    home_hint = Path(given.get("home") or environ.get("MIRA_HOME") or _default_home(environ)).expanduser()
    path = _find_file(environ, given, home_hint)
    file = _read_file(path) if path else _File()
    notices: list[str] = []

    def setting(name: str) -> Any:
        value = given.get(name, environ.get(f"MIRA_{name.upper()}") or getattr(file, name))
        return _resolve_secret(value, environ, name) if isinstance(value, str) else value

    home = Path(given.get("home") or environ.get("MIRA_HOME") or file.home or home_hint).expanduser().absolute()
    nodes = tuple(_resolved_node(node, environ) for node in file.nodes)
    _check_nodes(nodes)
    nodes += _environment_nodes(environ, {node.name for node in nodes}, notices)
    return Config(
        home=home,
        path=path,
        secret_key=_long_secret(setting("secret_key"), "MIRA_SECRET_KEY"),
        public_url=_public_url(setting("public_url")),
        host=setting("host"),
        port=_port(setting("port"), "MIRA_PORT"),
        database_url=_database_url(setting("database_url"), home),
        files_url=_files_url(given.get("files_url", environ.get("MIRA_FILES_URL") or file.files_url), home),
        admin_key=_long_secret(setting("admin_key"), "MIRA_ADMIN_KEY"),
        bootstrap_key=_long_secret(setting("bootstrap_key"), "MIRA_BOOTSTRAP_KEY"),
        bootstrap_inference_key=_long_secret(setting("bootstrap_inference_key"), "MIRA_BOOTSTRAP_INFERENCE_KEY"),
        bootstrap_credits=setting("bootstrap_credits") or "10",
        local_node=_switch(setting("local_node"), "MIRA_LOCAL_NODE"),
        local_model=setting("local_model") or "qwen2.5-coder-0.5b",
        admin_listen=_address(setting("admin_listen"), "MIRA_ADMIN_LISTEN"),
        allow_private_networks=_entries(setting("allow_private_networks")),
        server=_server(file.server, given.get("workers")),
        log=file.log,
        ledger=file.ledger,
        fetch=file.fetch,
        files=file.files,
        defaults=file.defaults,
        oidc=_oidc(file.oidc, environ),
        video=file.video,
        nodes=nodes,
        prices=file.prices,
        models=file.models,
        notices=tuple(notices),
    )


def _server(server: ServerConfig, workers: int | None) -> ServerConfig:
    return server if workers is None else msgspec.structs.replace(server, workers=workers)


def _oidc(oidc: OidcConfig | None, environ: Mapping[str, str]) -> OidcConfig | None:
    if oidc is None:
        return None
    if not _is_base_url(oidc.issuer):
        raise ConfigError("oidc.issuer must be the provider's address, such as https://accounts.example.com")
    if not (oidc.client_id and oidc.client_secret):
        raise ConfigError("oidc.client_id and oidc.client_secret must not be empty; the provider gives both")
    secret = _resolve_secret(oidc.client_secret, environ, "oidc.client_secret")
    operators = tuple(address.strip().lower() for address in oidc.operators)
    return msgspec.structs.replace(oidc, client_secret=secret, operators=operators)


def _default_home(environ: Mapping[str, str]) -> str:
    return str(Path(environ.get("XDG_DATA_HOME") or "~/.local/share") / "mira")


def _find_file(environ: Mapping[str, str], given: Mapping[str, Any], home: Path) -> Path | None:
    named = given.get("config") or environ.get("MIRA_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"the configuration file {path} does not exist; correct --config or MIRA_CONFIG")
        return path
    return next((path for path in (Path("mira.toml"), home / "mira.toml") if path.is_file()), None)


def _read_file(path: Path) -> _File:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    for node in table.get("nodes", []) if isinstance(table.get("nodes"), list) else []:
        if isinstance(node, dict) and "origin" in node:
            raise ConfigError(f"{path}: a node has no setting `origin`")
    try:
        return msgspec.convert(table, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; see docs/configuration.md for the settings of this version") from None


def _resolve_secret(value: str, environ: Mapping[str, str], name: str) -> str:
    if value.startswith("env:"):
        if value[4:] not in environ:
            raise ConfigError(f"{name} points to the environment variable {value[4:]}, which is not set")
        return environ[value[4:]]
    if value.startswith("file:"):
        try:
            return Path(value[5:]).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"{name} points to the file {value[5:]}, which cannot be read") from None
    return value


def _resolved_node(node: NodeConfig, environ: Mapping[str, str]) -> NodeConfig:
    api_key = _resolve_secret(node.api_key, environ, f"nodes.{node.name}.api_key")
    return msgspec.structs.replace(node, api_key=api_key, base_url=node.base_url.rstrip("/"))


def check_node(node: NodeConfig) -> None:
    """Refuses a node that could never serve; ConfigError names the setting."""
    where = f"node {node.name!r}"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", node.name):
        raise ConfigError(f"{where}: `name` must be at most 100 letters, digits, dots, dashes or underscores")
    if node.kind in ("local", "local-media"):
        raise ConfigError(f"{where}: the embedded nodes are set by MIRA_LOCAL_NODE and MIRA_LOCAL_MODEL, not here")
    if not _is_base_url(node.base_url):
        raise ConfigError(f"{where}: `base_url` must be http(s)://host[:port]/path without user info or query")
    # Both end up in headers, where a line break would begin another.
    if not (node.api_key.isascii() and (not node.api_key or node.api_key.isprintable())):
        raise ConfigError(f"{where}: `api_key` must be printable ASCII characters")
    if not all(model and model.isprintable() for model in node.models or ()):
        raise ConfigError(f"{where}: `models` must be printable, without line breaks")
    if node.kind == "openai-compatible" and node.provider is None:
        raise ConfigError(f"{where}: kind openai-compatible needs `provider`, the prefix of its model ids")
    if node.endpoint != "auto" and node.kind != "openai":
        raise ConfigError(f"{where}: `endpoint` is for kind openai alone; other kinds speak one protocol")
    if node.image_route != "auto" and node.kind != "openai-compatible":
        raise ConfigError(f"{where}: `image_route` is for kind openai-compatible alone")
    if not 0 < node.weight <= 1000:
        raise ConfigError(f"{where}: `weight` must be above 0 and at most 1000")
    if node.max_in_flight is not None and node.max_in_flight < 1:
        raise ConfigError(f"{where}: `max_in_flight` must be at least 1")


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no port
    except ValueError:
        return False
    surplus = parts.username or parts.query or parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not surplus


def _check_nodes(nodes: tuple[NodeConfig, ...]) -> None:
    seen: set[str] = set()
    for node in nodes:
        check_node(node)
        if node.name in seen:
            raise ConfigError(f"two nodes are named {node.name!r}; names must differ")
        seen.add(node.name)


def _environment_nodes(environ: Mapping[str, str], taken: set[str], notices: list[str]) -> tuple[NodeConfig, ...]:
    found = [
        NodeConfig(name=name, kind=kind, base_url=url, api_key=environ[variable], provider=provider,
                   origin="environment", reported_cost=name == "openrouter",
                   image_route="images" if name == "xai" else "auto")
        for variable, (name, kind, url, provider) in PROVIDER_KEYS.items()
        if environ.get(variable)
    ]  # fmt: skip
    if environ.get("MIRA_UPSTREAM_KEY") and environ.get("MIRA_UPSTREAM_URL"):
        url = environ["MIRA_UPSTREAM_URL"].rstrip("/")
        key = environ["MIRA_UPSTREAM_KEY"]
        found.append(NodeConfig(name="upstream", kind="mira", base_url=url, api_key=key, origin="environment"))
    for node in found:
        check_node(node)
        if node.name in taken:
            notices.append(f"the file's node {node.name!r} stands; the one from the environment is left out")
    return tuple(node for node in found if node.name not in taken)


def _long_secret(value: str | None, name: str) -> str | None:
    if value is not None and len(value) < MIN_SECRET_CHARACTERS:
        raise ConfigError(f"{name} must have at least {MIN_SECRET_CHARACTERS} characters")
    return value


def _port(value: str | int | None, name: str) -> int:
    if value is None:
        return DEFAULT_PORT
    try:
        port = int(value)
    except ValueError:
        raise ConfigError(f"{name} must be a number, not {value!r}") from None
    if not 0 <= port <= 65535:
        raise ConfigError(f"{name} must be between 0 and 65535")
    return port


def _address(value: str | None, name: str) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not host:
        raise ConfigError(f"{name} must be host:port, not {value!r}")
    return host.strip("[]"), _port(port, name)


def _entries(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if isinstance(value, str):
        value = tuple(value.split(",")) if value.strip() else ()
    return tuple(entry.strip() for entry in value or ())


def _public_url(value: str | None) -> str | None:
    if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
        raise ConfigError("MIRA_PUBLIC_URL must be an http or https address")
    return value


def _database_url(value: str | None, home: Path) -> str:
    url = value or f"sqlite:///{home / 'mira.db'}"
    if not url.startswith(("sqlite:///", "postgresql://", "postgres://")):
        scheme = url.partition(":")[0]
        raise ConfigError(
            f"MIRA_DATABASE_URL: {scheme} is not a database that Mira knows; use sqlite:///path or "
            "postgresql://user:password@host/name"
        )
    return url


def _files_url(value: str | None, home: Path) -> str:
    # Not a secret, and `file:` is the beginning of an address here.
    url = value or (home / "files").as_uri()
    if not url.startswith(("file:///", "s3://")):
        raise ConfigError("MIRA_FILES_URL must be file:///absolute/folder or s3://bucket/prefix")
    return url


def _switch(value: str | bool | None, name: str) -> bool:
    if value is None or isinstance(value, bool):
        return value is not False
    if value.lower() in ("on", "true", "1", "yes"):
        return True
    if value.lower() in ("off", "false", "0", "no"):
        return False
    raise ConfigError(f"{name} must be on or off, not {value!r}")
