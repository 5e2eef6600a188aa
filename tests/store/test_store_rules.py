"""The pure rules of the ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.core.ledger import Account, close_hold, move, take_hold
from mira.core.money import MAX_NANOCREDITS

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
def test_a_charge_takes_hold_then_free_balance_and_the_rest_is_overrun(posted, others, hold, actual, capped):
    hold = min(hold, posted)
    others = min(others, posted - hold)
    account, revenue, overrun = Account("a", posted, hold + others), Account("r", 0), Account("o", 0)
    charge = close_hold(account, revenue, overrun, hold_nanocredits=hold, actual_nanocredits=actual, capped=capped)
    free = posted - hold - others
    assert charge.billed_nanocredits == min(actual, hold if capped else hold + free)
    assert charge.billed_nanocredits + charge.overrun_nanocredits == actual
    assert account.held_nanocredits == others
    assert account.available_nanocredits >= 0
    assert account.posted_nanocredits + revenue.posted_nanocredits + overrun.posted_nanocredits == posted


@pytest.mark.parametrize(("amount", "least"), [(-1, -1), (5, 6), (5, -1), (MAX_NANOCREDITS + 1, 0)])
def test_a_hold_out_of_range_is_refused(amount, least):
    account = Account("a", 10)
    with pytest.raises(ValueError, match="hold"):
        take_hold(account, amount, least)
    assert account == Account("a", 10)


@pytest.mark.parametrize(
    ("hold", "actual", "revenue"),
    [(1, -1, 0), (1, MAX_NANOCREDITS + 1, 0), (1, 1, MAX_NANOCREDITS), (6, 1, 0), (-1, 1, 0)],
)
def test_a_charge_out_of_range_changes_nothing(hold, actual, revenue):
    accounts = Account("a", 10, 5), Account("r", revenue), Account("o", 0)
    with pytest.raises(ValueError, match=r"charge|hold"):
        close_hold(*accounts, hold_nanocredits=hold, actual_nanocredits=actual, capped=False)
    assert accounts == (Account("a", 10, 5), Account("r", revenue), Account("o", 0))


def test_a_charge_whose_overrun_does_not_fit_changes_nothing():
    accounts = Account("a", 0, 0), Account("r", 0), Account("o", -MAX_NANOCREDITS)
    with pytest.raises(ValueError, match="64 bits"):
        close_hold(*accounts, hold_nanocredits=0, actual_nanocredits=1, capped=False)
    assert accounts == (Account("a", 0, 0), Account("r", 0), Account("o", -MAX_NANOCREDITS))


@pytest.mark.parametrize(("debit", "credit", "amount"), [(0, 0, -1), (-MAX_NANOCREDITS, 0, 1), (0, MAX_NANOCREDITS, 1)])
def test_a_transfer_out_of_range_changes_nothing(debit, credit, amount):
    accounts = Account("d", debit), Account("c", credit)
    with pytest.raises(ValueError, match="64 bits"):
        move(*accounts, amount)
    assert accounts == (Account("d", debit), Account("c", credit))
