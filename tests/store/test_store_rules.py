"""The pure rules of the ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.ledger import LOWEST_LOSS_NANOCREDITS, MOST_LOSS_NANOCREDITS, Account, bear, close_hold, move, take_hold
from mira.core.limits import UNITS, Cap, give_back
from mira.core.money import MAX_NANOCREDITS
from mira.core.pricing import Price, bill
from mira.core.usage import Usage

PRICE = Price(
    input_picocredits=2500, output_picocredits=10_000, cache_read_picocredits=1, web_search_picocredits=10**10
)

amounts = st.one_of(st.integers(0, 20), st.integers(0, MAX_NANOCREDITS))


@given(posted=amounts, held=amounts, amount=amounts, least=amounts)
def test_a_hold_is_between_least_and_amount_and_never_more_than_available(posted, held, amount, least):
    held, least = min(held, posted), min(least, amount)
    account = Account("a", posted, held)
    grant = take_hold(account, amount, least)
    if grant is None:
        assert posted - held < least
        assert account.held_nanocredits == held
    else:
        assert least <= grant <= amount
        assert grant == min(amount, posted - held)
        assert account.held_nanocredits == held + grant <= posted


@given(posted=amounts, others=amounts, hold=amounts, actual=amounts, capped=st.booleans())
def test_a_charge_takes_hold_then_free_balance_and_nothing_else(posted, others, hold, actual, capped):
    hold = min(hold, posted)
    others = min(others, posted - hold)
    account, revenue = Account("a", posted, hold + others), Account("r", 0)
    billed = close_hold(account, revenue, hold_nanocredits=hold, actual_nanocredits=actual, capped=capped)
    free = posted - hold - others
    assert billed == min(actual, hold if capped else hold + free)
    assert account.held_nanocredits == others
    assert account.available_nanocredits >= 0
    assert account.posted_nanocredits + revenue.posted_nanocredits == posted


@pytest.mark.parametrize(
    ("hold", "actual", "revenue"),
    [(1, -1, 0), (1, 1, MAX_NANOCREDITS), (6, 1, 0), (-1, 1, 0)],
)
def test_a_charge_out_of_range_changes_nothing(hold, actual, revenue):
    accounts = Account("a", 10, 5), Account("r", revenue)
    with pytest.raises(ValueError, match=r"charge|hold"):
        close_hold(*accounts, hold_nanocredits=hold, actual_nanocredits=actual, capped=False)
    assert accounts == (Account("a", 10, 5), Account("r", revenue))


@given(lost=st.integers(LOWEST_LOSS_NANOCREDITS, 0), billed=st.integers(0, 2**62), amount=amounts)
def test_a_loss_is_booked_as_far_as_it_leaves_room_for_charges(lost, billed, amount):
    losses, revenue = Account("o", lost), Account("r", billed)
    booked = bear(losses, revenue, amount)
    assert booked == min(amount, MOST_LOSS_NANOCREDITS, lost - LOWEST_LOSS_NANOCREDITS)
    assert (losses.posted_nanocredits, revenue.posted_nanocredits) == (lost - booked, billed + booked)


@pytest.mark.parametrize(("debit", "credit", "amount"), [(0, 0, -1), (-MAX_NANOCREDITS, 0, 1), (0, MAX_NANOCREDITS, 1)])
def test_a_transfer_out_of_range_changes_nothing(debit, credit, amount):
    accounts = Account("d", debit), Account("c", credit)
    with pytest.raises(ValueError, match="64 bits"):
        move(*accounts, amount)
    assert accounts == (Account("d", debit), Account("c", credit))


absurd = st.one_of(st.integers(-(2**80), 2**80), st.sampled_from([-1, 0, 2**63 - 1, 2**63, -(2**63)]))


@given(
    counts=st.lists(absurd, min_size=10, max_size=10),
    searches=absurd,
    reported=st.one_of(st.none(), absurd),
    trusted=st.booleans(),
    capped=st.booleans(),
    hold=st.integers(0, 10**12),
    free=st.integers(0, 10**12),
    room=st.integers(0, 10**12),
)
def test_no_usage_whatever_it_says_gives_credit(counts, searches, reported, trusted, capped, hold, free, room):
    """From a node's absurd figures through the price to the accounts: the customer pays at most what there is."""
    names = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]
    usage = Usage(**dict(zip(names, counts, strict=True)), web_searches=searches, reported_cost_nanocredits=reported)
    actual = bill(usage, PRICE, trusted=trusted).actual_nanocredits
    account, revenue, overrun = Account("a", hold + free, hold), Account("r", 0), Account("o", 0)
    billed = close_hold(
        account, revenue, hold_nanocredits=hold, actual_nanocredits=actual, capped=capped, room_nanocredits=room
    )
    bear(overrun, revenue, actual - billed)
    assert max(0, free - room) <= account.posted_nanocredits <= hold + free
    assert revenue.posted_nanocredits >= 0 >= overrun.posted_nanocredits
    assert account.posted_nanocredits + revenue.posted_nanocredits + overrun.posted_nanocredits == hold + free
    cap = Cap("key:k", tpm=100, tokens_held=10, held_nanocredits=hold, live=1)
    give_back(cap, hold, hold + free - account.posted_nanocredits, 10, usage.prompt_tokens + usage.completion_tokens)
    assert cap.spent_nanocredits >= 0
    assert 0 <= cap.tokens_level <= 200 * UNITS
