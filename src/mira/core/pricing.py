"""Prices and the exact cost of a usage."""

from msgspec import Struct

from mira.core.money import PICO_PER_NANO, nano_from_pico
from mira.core.usage import Usage


class Price(Struct, frozen=True, kw_only=True):
    """Pico-credits per token of each class. `source` names where the price came from (operator, genai-prices, …).

    A class without a price of its own costs as its base class does: cached and audio input as input, reasoning and
    audio output as output. `free` prices everything at 0, explicitly.
    """

    input_picocredits: int
    output_picocredits: int
    cache_read_picocredits: int | None = None
    cache_write_5m_picocredits: int | None = None
    cache_write_1h_picocredits: int | None = None
    reasoning_picocredits: int | None = None
    audio_input_picocredits: int | None = None
    audio_output_picocredits: int | None = None
    image_input_picocredits: int | None = None
    image_output_picocredits: int | None = None
    web_search_picocredits: int | None = None
    free: bool = False
    source: str = "operator"


FREE = Price(input_picocredits=0, output_picocredits=0, free=True)
