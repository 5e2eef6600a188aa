"""What the handlers work with: one record, filled by the composition root."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from mira.api.accounts import Accounts
from mira.api.video_services import VideoServices
from mira.calls.media import Media
from mira.config import Config
from mira.core.caller import Caller
from mira.fetch.service import Fetcher
from mira.files.uploads import Uploads
from mira.nodes.reconciler import Reconciler
from mira.observe.metrics import Metrics
from mira.relay import Relay
from mira.store.audit import Actor
from mira.store.calls import Calls
from mira.store.fetch_domains import FetchDomains
from mira.store.glances import Glances
from mira.store.keyring import Keyring
from mira.store.keys import Keys
from mira.store.ledger import Ledger
from mira.store.members import Members
from mira.store.sessions import SignedIn
from mira.store.transfers import Transfers
from mira.store.usage import UsageSheets
from mira.store.workspaces import Workspaces


class Fetching(Struct, kw_only=True):
    """What fetches pages. The price is of one page; it changes when the configuration is read again."""

    fetcher: Fetcher
    domains: FetchDomains
    price_nanocredits: int


class Reloading(Struct):
    """Reads the configuration again: `again` gives the number of nodes, ConfigError where it stays as it was."""

    again: Callable[[], Awaitable[int]] | None = None


class Services(Struct, frozen=True, kw_only=True):
    """The collaborators of the API.

    `fleet` is the running fleet (nodes, catalog, discovery), `reconciler` compares our books with those of its nodes,
    `reloading` is filled by the process, `accounts` are those of people, `counter` counts tokens. `now_ms` is Unix
    milliseconds, `new_id` takes a prefix. `not_ready` says why the process cannot admit, or None.
    """

    config: Config
    relay: Relay
    keyring: Keyring
    ledger: Ledger
    workspaces: Workspaces
    keys: Keys
    members: Members
    calls: Calls
    transfers: Transfers
    usage: UsageSheets
    glances: Glances
    fetching: Fetching
    fleet: Any
    reloading: Reloading
    reconciler: Reconciler
    counter: Any
    uploads: Uploads
    media: Media
    videos: VideoServices
    metrics: Metrics
    accounts: Accounts
    now_ms: Callable[[], int]
    monotonic_s: Callable[[], float]
    new_id: Callable[[str], str]
    not_ready: Callable[[], str | None]


class Asked(Struct, frozen=True):
    """A request on a thin route: its caller (None for operators and the public) and its id.

    `session` is who is signed in at the portal, where the route is theirs; `actor` who answers for a change, and
    `action` what the audit log calls it.
    """

    request: Any
    caller: Caller | None
    request_id: str
    session: SignedIn | None = None
    actor: Actor = Actor("public")
    action: str = ""

    async def left(self) -> None:
        """Returns when the client has gone. The body must have been read, so that nothing else can come."""
        while (await self.request.receive())["type"] != "http.disconnect":
            pass
