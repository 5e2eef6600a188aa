"""By what the requests of one session are known."""

import msgspec
import pytest
from msgspec import Raw

from mira.codecs.sessions import session_of


def key(**body):
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, Raw])
    return session_of(fields)


SYSTEM = {"role": "system", "content": "Be brief."}
FIRST = {"role": "user", "content": "Hi"}
LATER = [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "And then?"}]


@pytest.mark.parametrize("name", ["messages", "input"])
def test_the_turns_of_a_conversation_are_one_session(name):
    assert key(**{name: [SYSTEM, FIRST]}) == key(**{name: [SYSTEM, FIRST, *LATER]})


def test_other_beginnings_are_other_sessions():
    other = {"role": "user", "content": "Ho"}
    keys = {
        key(messages=[SYSTEM, FIRST]),
        key(messages=[SYSTEM, other]),
        key(messages=[FIRST]),
        key(system="Be brief.", messages=[FIRST]),
        key(instructions="Be brief.", input=[FIRST]),
        key(input="Hi"),
        key(tools=[{"name": "x"}], messages=[FIRST]),
    }
    assert len(keys) == 7


def test_what_the_client_calls_its_session_decides():
    assert key(prompt_cache_key="mine", messages=[FIRST]) == key(prompt_cache_key="mine", messages=[SYSTEM])
    claude = {"user_id": "user_1_account_2_session_3"}
    assert key(metadata=claude, messages=[FIRST]) == key(metadata=claude, messages=[SYSTEM])
    anybody = {"user_id": "somebody"}
    assert key(metadata=anybody, messages=[FIRST]) != key(metadata=anybody, messages=[SYSTEM])


@pytest.mark.parametrize(
    "odd", [{"metadata": 3}, {"metadata": {"user_id": 4}}, {"messages": 3}, {"input": [1, "x"]}, {}]
)
def test_odd_requests_have_a_session_too(odd):
    assert isinstance(key(**odd), bytes)
