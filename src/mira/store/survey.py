"""What the operations of a batch touch: told in one pass over them, before anything is loaded or locked."""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from mira.core.ledger import ATTEMPT_COST, OVERRUN, REVENUE, TOPUP, workspace_account
from mira.store.operations import CloseOp, Hold, MaintainOp, Op, RecordOp, ReserveOp, TopUpOp

#: What the end of a hold may change beside the account of its workspace.
CLOSING_ACCOUNTS = (ATTEMPT_COST, OVERRUN, REVENUE)


class Touched(Struct):
    """What is to be locked, and which closes, payments and records the database has to be asked for.

    `claims` are pairs of workspace and key, `closes` ids of holds, `top_ups` the names of transfers, `records` ids of
    calls; `chores` are what is done beside all calls. `closes_holds` is true where a hold may end.
    """

    workspaces: set[str] = field(default_factory=set)
    caps: set[str] = field(default_factory=set)
    claims: list[tuple[str, str]] = field(default_factory=list)
    closes: dict[str, None] = field(default_factory=dict)
    top_ups: dict[str, None] = field(default_factory=dict)
    records: list[str] = field(default_factory=list)
    chores: list[MaintainOp] = field(default_factory=list)
    closes_holds: bool = False

    def account_ids(self) -> list[str]:
        """The accounts, in the order in which they are locked: those of all that may change."""
        ids = [*map(workspace_account, self.workspaces)]
        if self.closes_holds:
            ids += CLOSING_ACCOUNTS
        if self.top_ups:
            ids.append(TOPUP)
        return sorted(ids)


def survey(ops: Iterable[Op], live: Mapping[str, Hold]) -> Touched:
    """Looks through the operations. A close of a hold that is not in memory is told from then on to ask for its row."""
    touched = Touched()
    workspaces, caps = touched.workspaces, touched.caps
    # By their exact types: `isinstance` takes a detour for each class of structs that an operation is not of.
    for op in ops:
        if type(op) is CloseOp:
            touched.closes_holds = True
            hold = live.get(op.hold_id)
            if hold is None or op.from_row:
                op.from_row = True
                touched.closes[op.hold_id] = None
            else:
                workspaces.add(hold.workspace_id)
                if hold.caps:
                    caps.update(hold.caps)
        elif type(op) is ReserveOp:
            request = op.request
            workspaces.add(request.workspace_id)
            if request.caps:
                caps.update(request.caps)
            if request.claim is not None:
                touched.claims.append((request.workspace_id, request.claim.key))
        elif type(op) is RecordOp:
            if op.again:
                touched.records.append(op.record.request_id)
        elif type(op) is TopUpOp:
            workspaces.add(op.workspace_id)
            touched.top_ups[op.idem] = None
        elif type(op) is MaintainOp:
            touched.chores.append(op)
    return touched
