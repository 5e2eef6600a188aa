"""What routes about people take and answer: members, invitations, users."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from mira.api.bodies import Name
from mira.api.portal.shapes import BudgetShown, Password, Text, Workspace
from mira.store.invitations import State
from mira.store.users import Role


class MemberShown(Struct, kw_only=True):
    """A member, with the limits over all of their keys. `user_id` null: no account; `you`: who asks."""

    id: str
    name: str
    email: str | None
    user_id: str | None
    role: Role | None
    disabled: bool
    you: bool
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    budget: BudgetShown | None
    created_at_ms: int
    seen_at_ms: int | None


class MemberList(Struct, kw_only=True):
    """`GET /portal/v1/members`."""

    data: list[MemberShown]
    object: str = "list"


class NewInvitation(Struct, forbid_unknown_fields=True):
    """An invitation into the workspace. Only operators may invite with the role `operator`."""

    email: Text
    role: Role = "member"
    days: Annotated[int, Meta(ge=1, le=30)] = 7


class InvitationShown(Struct, kw_only=True):
    """An invitation without its token."""

    id: str
    email: str
    role: Role
    workspace_id: str
    invited_by: str | None
    state: State
    created_at_ms: int
    expires_at_ms: int


class InvitationMade(Struct, kw_only=True):
    """A new invitation; `url` holds its token and is shown this once."""

    invitation: InvitationShown
    url: str


class InvitationList(Struct, kw_only=True):
    """Invitations, the newest first."""

    data: list[InvitationShown]
    object: str = "list"


class InvitationToken(Struct, forbid_unknown_fields=True):
    """`POST /portal/v1/invitations/look`."""

    token: Text


class InvitationSeen(Struct, kw_only=True):
    """What an invitation is for. `has_account`: the address has a password already, which accepting asks for."""

    email: str
    role: Role
    workspace_name: str
    has_account: bool
    expires_at_ms: int


class InvitationAccepted(Struct, forbid_unknown_fields=True):
    """`POST /portal/v1/invitations/accept`: a new password, or the one that the account has."""

    token: Text
    password: Password
    name: Name | None = None


class UserRow(Struct, kw_only=True):
    """A user, as operators see it. `keys` are those in use that belong to them, and stop while they are disabled."""

    id: str
    email: str
    name: str | None
    role: Role
    disabled: bool
    has_password: bool
    single_sign_on: bool
    keys: int
    workspaces: list[Workspace]
    created_at_ms: int
    seen_at_ms: int | None


class UserList(Struct, kw_only=True):
    """`GET /admin/v1/users`."""

    data: list[UserRow]
    object: str = "list"


class UserChange(Struct, forbid_unknown_fields=True):
    """`PATCH /admin/v1/users/{id}`: what is absent stays."""

    name: Name | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class PasswordReset(Struct, kw_only=True):
    """A new password, shown this once; every session of the user has ended."""

    id: str
    email: str
    password: str
