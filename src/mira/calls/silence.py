"""When the client of a stream hears a sign of life, because its node has been silent for long."""

from mira.calls.call import Call
from mira.calls.pump import is_lost

#: Ticks of silence after which a stream's client is sent a sign of life.
SILENT_TICKS = 2


def wants_sign_of_life(call: Call) -> bool:
    """Counts a tick; whether the call was silent for so many that its client should hear something.

    Nothing is sent before the hold is durable, nor to a client that is gone or does not keep up.
    """
    if call.pump is not None and call.pump.spoke:
        call.pump.spoke = False
        call.silent_ticks = 0
        return False
    call.silent_ticks += 1
    exchange, hold = call.exchange, call.hold
    if call.silent_ticks < SILENT_TICKS or call.settled or exchange.gone or exchange.paused:
        return False
    if hold is None or not hold.durable.done() or is_lost(hold):
        return False
    call.silent_ticks = 0
    return True
