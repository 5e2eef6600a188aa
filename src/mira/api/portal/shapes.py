"""What the portal's routes take and answer, for members. Times are Unix milliseconds, amounts decimal credits."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from mira.api.bodies import Budget, Name, Rate
from mira.store.sessions import Way
from mira.store.users import Role

#: `owner_disabled`: the member that the key belongs to is disabled, or their account.
KeyState = Literal["active", "disabled", "owner_disabled", "expired", "revoked"]
Password = Annotated[str, Meta(min_length=10, max_length=500)]
Text = Annotated[str, Meta(min_length=1, max_length=500)]


class Workspace(Struct, kw_only=True):
    """A workspace that the user may work in."""

    id: str
    name: str


class User(Struct, kw_only=True):
    """Who is signed in. `has_password` is false for those who come by single sign-on alone."""

    id: str
    email: str
    name: str | None
    role: Role
    has_password: bool


class SignOn(Struct, kw_only=True):
    """Single sign-on, where it is set up: a link, relative to the portal's own address."""

    issuer: str
    href: str


class Session(Struct, kw_only=True):
    """Who is signed in, if anybody.

    `csrf_token` goes into the header `x-csrf-token` of every POST, PUT, PATCH and DELETE. `secure` is false where the
    portal is reached over plain HTTP. `operator_pages`: an operator is signed in, and the operator API answers here.
    """

    signed_in: bool
    user: User | None
    workspace: Workspace | None
    workspaces: list[Workspace]
    csrf_token: str | None
    expires_at_ms: int | None
    secure: bool
    operator_pages: bool
    sso: SignOn | None
    base_url: str
    version: str


class SignIn(Struct, forbid_unknown_fields=True):
    """`POST /portal/v1/session`."""

    email: Text
    password: Annotated[str, Meta(min_length=1, max_length=500)]


class WorkspaceChoice(Struct, forbid_unknown_fields=True):
    """`PUT /portal/v1/session/workspace`."""

    workspace_id: str


class Profile(Struct, forbid_unknown_fields=True):
    """`PATCH /portal/v1/me`."""

    name: Name


class PasswordChange(Struct, forbid_unknown_fields=True):
    """`PUT /portal/v1/me/password`. `current` may be left out by a user who has none yet."""

    new: Password
    current: str | None = None


class SessionRow(Struct, kw_only=True):
    """One session of the user."""

    id: str
    current: bool
    created_at_ms: int
    seen_at_ms: int
    expires_at_ms: int
    address: str | None
    user_agent: str | None
    way: Way


class Sessions(Struct, kw_only=True):
    """`GET /portal/v1/sessions`."""

    data: list[SessionRow]
    object: str = "list"


class BudgetShown(Struct, kw_only=True):
    """A budget and what is taken of it in its present period."""

    amount: str
    period: Literal["day", "week", "month", "total"]
    spent: str
    held: str
    left: str
    resets_at_ms: int | None


class KeyShown(Struct, kw_only=True):
    """A key without its secret: `prefix`…`last4`. `models` null: all.

    `managed`: the portal's own, for the playground.
    """

    id: str
    name: str
    kind: Literal["proxy", "inference"]
    prefix: str
    last4: str
    state: KeyState
    managed: bool
    models: list[str] | None
    member_id: str | None
    member_name: str | None
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    budget: BudgetShown | None
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None
    last_used_at_ms: int | None
    calls: int
    spend: str


class Keys(Struct, kw_only=True):
    """`GET /portal/v1/keys`: the newest first; revoked ones with `revoked=true` alone."""

    data: list[KeyShown]
    object: str = "list"


class KeyMade(Struct, kw_only=True):
    """A new key with its secret, which is shown this once."""

    key: KeyShown
    secret: str


class NewPortalKey(Struct, forbid_unknown_fields=True):
    """`POST /portal/v1/keys`. `expires_at_ms` null: never."""

    name: Name
    kind: Literal["proxy", "inference"] = "proxy"
    models: list[str] | None = None
    expires_at_ms: int | None = None
    rpm: Rate | None = None
    tpm: Rate | None = None
    concurrency: Rate | None = None
    budget: Budget | None = None


class PortalKeyChange(Struct, forbid_unknown_fields=True):
    """`PATCH /portal/v1/keys/{id}`: what is absent stays."""

    name: Name | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    expires_at_ms: int | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    rpm: Rate | UnsetType | None = UNSET
    tpm: Rate | UnsetType | None = UNSET
    concurrency: Rate | UnsetType | None = UNSET
    budget: Budget | UnsetType | None = UNSET


class Rotation(Struct, forbid_unknown_fields=True):
    """`POST /portal/v1/keys/{id}/rotate`: for how long the old key goes on working beside the new one, in seconds."""

    overlap_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400


class KeyRotated(Struct, kw_only=True):
    """The new key with its secret, shown this once, and what became of the old one."""

    key: KeyShown
    secret: str
    old: KeyShown


class AuditActor(Struct, kw_only=True):
    """Who changed something. `kind`: `user`, `operator_key`, `cli`, `oidc`, `invitation`."""

    kind: str
    id: str | None
    name: str | None


class AuditEntry(Struct, kw_only=True):
    """One change. `before` and `after` hold what changed, without secrets."""

    id: str
    at_ms: int
    actor: AuditActor
    action: str
    object_kind: str
    object_id: str
    object_name: str | None
    workspace_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str


class AuditPage(Struct, kw_only=True):
    """`GET /portal/v1/audit` and `GET /admin/v1/audit`: newest first."""

    data: list[AuditEntry]
    next: str | None
    object: str = "list"
