"""A workspace's calls: one by one, and how the cost of each adds up."""

from typing import Literal

import msgspec
from starlette.responses import Response

from mira.api.bodies import answer, page_limit
from mira.api.portal import shapes_calls as shapes
from mira.api.portal.arithmetic import arithmetic
from mira.api.portal.session import workspace_of
from mira.api.portal.spans import bars, span_of
from mira.api.services import Asked, Services
from mira.api.usage import attempts_body, call_body, calls_page, wanted
from mira.codecs.chat import CHAT
from mira.codecs.codec import NodeCodec
from mira.codecs.embeddings import EMBEDDINGS
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.core.call import CallRecord
from mira.core.ledger import workspace_account
from mira.core.money import credits_text
from mira.errors import Kind, MiraError
from mira.store.calls import Wanted
from mira.store.transfers import Transfer

#: What clients speak.
CODECS: tuple[NodeCodec, ...] = (CHAT, MESSAGES, RESPONSES, EMBEDDINGS)


async def list_calls(services: Services, asked: Asked) -> Response:
    """A page of calls, newest first, with a histogram of all that the filters find where it is asked for."""
    workspace_id, query = workspace_of(asked), asked.request.query_params
    sought = wanted(asked, workspace_id)
    page = await services.calls.page(sought, after=query.get("cursor"), limit=page_limit(asked))
    names = await services.glances.names_of_keys(workspace_id)
    step, histogram = await _histogram(services, asked, sought)
    return answer(
        shapes.CallPage(
            data=[shown_call(row, names) for row in page.rows], next=page.next, histogram=histogram, step=step
        )
    )


async def list_any_calls(services: Services, asked: Asked) -> Response:
    """Call records of every workspace or of one (`workspace`), newest first, with a histogram as `list_calls`."""
    workspace_id = asked.request.query_params.get("workspace")
    page = await calls_page(services, asked, workspace_id)
    step, histogram = await _histogram(services, asked, wanted(asked, workspace_id))
    return answer({**page, "histogram": histogram, "step": step})


async def _histogram(
    services: Services, asked: Asked, sought: Wanted
) -> tuple[Literal["hour", "day"], list[shapes.Bar]] | tuple[None, None]:
    if asked.request.query_params.get("histogram") != "true":
        return None, None
    since_ms, until_ms = span_of(services, asked)
    return await bars(services, msgspec.structs.replace(sought, since_ms=since_ms, until_ms=until_ms))


async def get_call(services: Services, asked: Asked) -> Response:
    """One call of the workspace, with its attempts and how its cost adds up."""
    workspace_id = workspace_of(asked)
    record = await services.calls.get(asked.request.path_params["id"], workspace_id)
    if record is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such call")
    return answer(await detail(services, record, workspace_account(workspace_id)))


async def get_any_call(services: Services, asked: Asked) -> Response:
    """One call of any workspace, with what its nodes charged."""
    record = await services.calls.get(asked.request.path_params["id"])
    if record is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such call")
    return answer(await detail(services, record, None))


async def detail(services: Services, record: CallRecord, account: str | None) -> shapes.CallDetail:
    """All that is known of a call: for the holder of an account only what moved that, for operators (None) the rest."""
    names = await services.glances.names_of_keys(record.workspace_id)
    lines = await services.transfers.of_call(record.request_id)
    return shapes.CallDetail(
        call=shown_call(record, names),
        tried=[
            shapes.AttemptShown(
                **{name: value for name, value in each.items() if name != "cost"},
                protocol=_spoken(services, record.protocol, each["node"]),
                cost=each["cost"] if account is None else None,
            )
            for each in attempts_body(record)
        ],
        arithmetic=arithmetic(services, record),
        transfers=[
            shown_transfer(line, account or workspace_account(record.workspace_id), None)
            for line in lines
            if account is None or account in (line.debit, line.credit)
        ],
    )


def _spoken(services: Services, client: str, name: str) -> str | None:
    """The protocol that a node was asked in: its name where every request of the client's protocol is asked so."""
    codec = next((codec for codec in CODECS if codec.name == client), None)
    node = next((node for node in services.fleet.nodes if node.name == name), None)
    if codec is None or node is None:
        return None
    spoken: NodeCodec = node.codec_for(codec)
    return spoken.name if node.codec_for(codec, responses=True) is spoken else None


def shown_call(record: CallRecord, names: dict[str, str]) -> shapes.CallShown:
    """A call as the portal shows it; `names` are those of keys."""
    body = call_body(record)
    usage = shapes.CallUsage(**body.pop("usage"))
    return shapes.CallShown(**body, usage=usage, key_name=names.get(record.key_id))


def shown_transfer(line: Transfer, account: str, balance_nanocredits: int | None) -> shapes.TransferShown:
    """A transfer as the holder of an account sees it: what came is positive."""
    what, _, reference = line.idem.partition(":")
    is_call = what in ("settle", "overrun", "attempt")
    incoming = line.credit == account
    return shapes.TransferShown(
        id=str(line.id),
        kind={"settle": "call", "topup": "top_up"}.get(what, what),
        reference=reference.partition(":")[2] if what == "topup" else reference,
        call_id=reference if is_call else None,
        debit=line.debit,
        credit=line.credit,
        amount=credits_text(line.amount_nanocredits if incoming else -line.amount_nanocredits),
        balance=credits_text(balance_nanocredits) if balance_nanocredits is not None else None,
        created_at_ms=line.created_at_ms,
    )
