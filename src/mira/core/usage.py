"""What a call consumed, as disjoint counts: each token is in exactly one class."""

from msgspec import Struct


class Usage(Struct, frozen=True, kw_only=True):
    """Token counts of one answer. The classes do not overlap; protocols that nest them are undone by their codec.

    What is priced by the piece stands beside them: `images` that were made, `media_ms` milliseconds of sound or video,
    `characters` that were spoken, `pages` that were read. Their tokens, where a node tells some, count as well.

    `reported_cost_nanocredits` is the upstream's own charge where it told one. `estimated` marks counts that Mira made
    itself because the upstream gave none.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    web_searches: int = 0
    images: int = 0
    media_ms: int = 0
    characters: int = 0
    pages: int = 0
    estimated: bool = False
    reported_cost_nanocredits: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """All input classes together, as Chat Completions counts them."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.audio_input_tokens
            + self.image_input_tokens
        )

    @property
    def completion_tokens(self) -> int:
        """All output classes together, as Chat Completions counts them."""
        return self.output_tokens + self.reasoning_tokens + self.audio_output_tokens + self.image_output_tokens


_COUNTS = tuple(name for name in Usage.__struct_fields__ if name not in ("reported_cost_nanocredits", "estimated"))


def added(one: Usage, other: Usage) -> Usage:
    """Two usages together; the node's own charges too, where it told both."""
    counts = {name: getattr(one, name) + getattr(other, name) for name in _COUNTS}
    mine, theirs = one.reported_cost_nanocredits, other.reported_cost_nanocredits
    return Usage(
        **counts,
        reported_cost_nanocredits=None if mine is None or theirs is None else mine + theirs,
        estimated=one.estimated or other.estimated,
    )
