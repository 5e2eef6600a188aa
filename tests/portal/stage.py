"""A gateway with something to show: two nodes, one that is down, workspaces, keys, and calls that went well and did not."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests.support.gateway import Gateway, openai_node, price
from tests.support.ports import free_port
from tests.support.upstream import Upstream, answers

MODELS = ("gpt-4o-mini", "gpt-4o", "o4-mini")
UNPRICED = "gpt-of-tomorrow"
UNWELL = "o4-mini"
CHAT = "openai/gpt-4o-mini"
TIGHT_KEY = "Nightly batch"


class Account(msgspec.Struct, frozen=True):
    """Who signs in."""

    email: str
    password: str


class Stage(msgspec.Struct, frozen=True):
    """A running gateway, the upstream behind its nodes, and the account that its first start printed.

    `places` are what addresses of pages need: the name of a node, the id of a workspace, the token of an invitation.
    """

    gateway: Gateway
    upstream: Upstream
    operator: Account
    places: dict[str, str]

    @property
    def url(self) -> str:
        """Where the portal is."""
        return self.gateway.url


@contextmanager
def stage(home: Path, *, furnished: bool, **environ: str) -> Iterator[Stage]:
    """A first start; `furnished` with nodes and a little history, else with one node and nothing else."""
    upstream = Upstream([*MODELS, UNPRICED]).start()
    nodes = [openai_node(upstream.url, "openai-main", models=[*MODELS, UNPRICED])]
    if furnished:
        nodes += [
            openai_node(upstream.url, "openai-spare", models=MODELS, weight=0.5),
            openai_node(f"http://127.0.0.1:{free_port()}/v1", "openai-gone", models=["gpt-4o"]),
        ]
    gateway = Gateway(home, nodes=nodes, prices=[price(f"openai/{model}") for model in MODELS], **environ)
    try:
        gateway.start()
        places = {"name": "openai-main", "id": "ws_default", "token": ""}
        made = Stage(gateway=gateway, upstream=upstream, operator=printed_account(gateway), places=places)
        if furnished:
            furnish(made)
        yield made
    finally:
        gateway.close()
        upstream.stop()


def printed_account(gateway: Gateway) -> Account:
    """The operator that the first start made, as it was printed."""
    line = gateway.says(lambda line: "sign-in" in line)
    found = re.search(r"(\S+@\S+)\s+password (\S+)", line)
    assert found is not None, line
    return Account(email=found[1], password=found[2])


def furnish(on: Stage) -> None:
    """Workspaces, keys with limits, and calls: whole, streamed, failed upstream, refused."""
    gateway = on.gateway
    studio = gateway.new_workspace("25", "Studio North")
    gateway.new_workspace(None, "Empty hall")
    for name in ("Ada", "Grace"):
        gateway.admin("POST", f"/workspaces/{studio}/members", {"name": name, "email": f"{name.lower()}@example.com"})
    invited = gateway.admin("POST", f"/workspaces/{studio}/invitations", {"email": "mary@example.com"})
    on.places["token"] = invited["url"].rpartition("/")[2]
    _, web_app = gateway.new_key(name="Web app")
    _, tight = gateway.new_key(name=TIGHT_KEY, models=[CHAT], rpm=600, budget={"amount": "0.5", "period": "month"})
    _, north = gateway.new_key(studio, name="Editors")
    for key in (web_app, tight, north):
        for number in range(3):
            assert gateway.chat(CHAT, f"Question {number}", key=key).status_code == 200
    assert gateway.chat("openai/gpt-4o", "In pieces", key=web_app, stream=True).status_code == 200
    on.upstream.script(UNWELL, answers({"error": {"message": "overloaded"}}, 503))
    assert gateway.chat(f"openai/{UNWELL}", "Whatever", key=web_app).status_code >= 500
    assert gateway.chat("openai/gpt-4o", "Not allowed", key=tight).status_code == 403
