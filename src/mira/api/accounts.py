"""The people who use the portal: their accounts, sessions and invitations, and the log of what they changed."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from mira.api.front import Front
from mira.api.operator import Operators
from mira.api.portal.provider import Client, Provider
from mira.api.sign_in import SignIn
from mira.config import Config
from mira.store.audit import Actor, AuditLog
from mira.store.database import Database
from mira.store.invitations import Invitations
from mira.store.passwords import Passwords
from mira.store.secretbox import SecretBox
from mira.store.sessions import Sessions
from mira.store.sign_ins import SignIns
from mira.store.users import Users


class Accounts(Struct, frozen=True, kw_only=True):
    """What the handlers need for people.

    `operator` checks an operator's `authorization` header, given the client's address; `forget` has it ask for every
    password again. `front` knows proxies, `box` seals what a browser keeps for us; `provider` is
    the one of single sign-on, where it is set up.
    """

    users: Users
    passwords: Passwords
    sign_in: SignIn
    sessions: Sessions
    invitations: Invitations
    audit: AuditLog
    front: Front
    box: SecretBox
    provider: Provider | None
    operator: Callable[[str, str | None], Awaitable[Actor | None]]
    forget: Callable[[], None]


def accounts(
    config: Config,
    database: Database,
    box: SecretBox,
    now_ms: Callable[[], int],
    monotonic_s: Callable[[], float],
    *,
    new_id: Callable[[str], str],
    new_client: Callable[[str], Client],
) -> Accounts:
    """The accounts of a database; ConfigError where a trusted proxy is none."""
    users, passwords = Users(database), Passwords()
    sign_in = SignIn(users, SignIns(database, now_ms=now_ms), passwords.verify)
    operators = Operators(config.admin_key, sign_in, monotonic_s=monotonic_s)
    return Accounts(
        users=users,
        passwords=passwords,
        sign_in=sign_in,
        sessions=Sessions(database, now_ms=now_ms, new_id=new_id),
        invitations=Invitations(database, now_ms=now_ms, new_id=new_id),
        audit=AuditLog(database),
        front=Front(config.server.trusted_proxies, config.public_url, config.base_url),
        box=box,
        provider=Provider(config.oidc, new_client, monotonic_s=monotonic_s) if config.oidc else None,
        operator=operators,
        forget=operators.forget,
    )
