"""Chains of Miras: who passed a request on, and where it must not come back to."""

import pytest

from mira.core.via import MOST_PASSED, onward
from mira.errors import Kind, MiraError


def test_each_adds_its_name():
    assert onward(None, "a") == "a"
    assert onward("a", "b") == "a,b"
    assert onward("a, b", "c") == "a,b,c"


@pytest.mark.parametrize("told", ["a", "a,b", "b,a", "b, a ,c"])
def test_a_request_that_was_here_before_is_a_loop(told):
    with pytest.raises(MiraError) as refused:
        onward(told, "a")
    assert refused.value.kind is Kind.LOOP_DETECTED


def test_a_name_that_only_begins_alike_is_another():
    assert onward("ab,ba", "a") == "ab,ba,a"


def test_a_chain_ends_somewhere():
    names = [f"n{number}" for number in range(MOST_PASSED)]
    assert onward(",".join(names[:-1]), "a").endswith(",a")
    with pytest.raises(MiraError) as refused:
        onward(",".join(names), "a")
    assert refused.value.kind is Kind.LOOP_DETECTED


@pytest.mark.parametrize("told", ["", ",", "a,,b", "a;b", "a" * 65, "ä"])
def test_what_no_mira_writes_is_refused(told):
    with pytest.raises(MiraError) as refused:
        onward(told, "a")
    assert refused.value.kind is Kind.BAD_REQUEST
    assert "x-mira-via" in refused.value.message
