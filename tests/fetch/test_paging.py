"""Pages by tokens: what is cut is whole again in order, and no page is longer than asked for."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mira.errors import Kind, MiraError
from mira.fetch.paging import cut, split
from mira.workers.counter import Counter
from mira.workers.side import SideProcess

TEXT = "\n\n".join(f"## Part {n}\n\n" + f"Rivers of part {n} flow to the sea, slowly. " * 12 for n in range(60))


class Words:
    """Counts words as tokens, at least one."""

    async def count_each(self, texts: Sequence[str]) -> list[int]:
        return [max(1, len(text.split())) for text in texts]


class Nobody:
    async def count_each(self, texts: Sequence[str]) -> list[int]:
        raise MiraError(Kind.UNAVAILABLE, "busy")


@given(st.text(alphabet="ab .\n\t#é日`", max_size=6000))
def test_no_character_is_lost_between_pieces(text: str) -> None:
    pieces = split(text)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= 1241 for piece in pieces)


async def test_pages_that_follow_each_other_are_the_whole_text() -> None:
    parts, offset, total = [], 0, None
    while offset is not None:
        page = await cut(Words(), TEXT, max_tokens=500, offset=offset)
        assert page.tokens <= 500
        assert total in (None, page.total_tokens)
        parts.append(page.content)
        total, offset = page.total_tokens, page.next_offset
    assert "".join(parts) == TEXT
    assert len(parts) > 5
    # Cut where paragraphs end.
    assert all(part.endswith("\n\n") for part in parts[:-1])


async def test_a_short_text_is_one_page() -> None:
    page = await cut(Words(), "a b c", max_tokens=3, offset=0)
    assert (page.content, page.tokens, page.total_tokens, page.next_offset) == ("a b c", 3, 3, None)


async def test_behind_the_end_is_nothing() -> None:
    page = await cut(Words(), TEXT, max_tokens=10, offset=10**6)
    assert (page.content, page.tokens, page.next_offset) == ("", 0, None)
    assert page.total_tokens > 5000


async def test_a_page_of_one_token_still_goes_on() -> None:
    page = await cut(Words(), TEXT, max_tokens=1, offset=0)
    assert page.content
    assert page.next_offset


async def test_what_nobody_can_count_is_guessed_by_its_size() -> None:
    page = await cut(Nobody(), "x" * 4000, max_tokens=400, offset=0)
    assert (page.total_tokens, page.next_offset is not None) == (1000, True)


async def test_the_tokens_of_pages_add_up_to_those_of_the_text() -> None:
    side = SideProcess()
    counter = Counter(side)
    try:
        parts, offset = [], 0
        while offset is not None:
            page = await cut(counter, TEXT, max_tokens=700, offset=offset)
            parts.append(page)
            offset = page.next_offset
        (whole,) = await counter.count_each([TEXT])
        assert sum(part.tokens for part in parts) == whole == parts[0].total_tokens
        assert await counter.count_each([part.content for part in parts]) == [part.tokens for part in parts]
    finally:
        await side.close()
