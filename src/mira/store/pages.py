"""Paged reading: a page of rows and the cursor of the next one."""

from typing import Generic, TypeVar

from msgspec import Struct

from mira.errors import Kind, MiraError

T = TypeVar("T")

MAX_PAGE = 1000


class Page(Struct, Generic[T], frozen=True):
    """Rows, newest first; `next` is the cursor of the following page, None on the last."""

    rows: list[T]
    next: str | None


def wrong_cursor() -> MiraError:
    """What a client is told whose cursor is not one of ours."""
    return MiraError(Kind.BAD_REQUEST, "cursor: take it from the `next` of the page before", param="cursor")


def size(limit: int) -> int:
    """A page's size between 1 and 1,000."""
    return max(1, min(limit, MAX_PAGE))
