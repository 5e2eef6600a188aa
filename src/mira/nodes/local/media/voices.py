"""The voices of the local speech model, and what OpenAI's names for voices mean here."""

from collections.abc import Mapping

from mira.errors import Kind, MiraError

DEFAULT_VOICE = "af_heart"
#: The voices whose styles are part of Mira (`voices/*.bin`).
OWN_VOICES = ("af_heart", "af_alloy", "af_nova", "am_echo", "am_onyx", "bm_fable")
#: OpenAI's names: the same name where there is one, else the voice that comes nearest.
OPENAI_VOICES: Mapping[str, str] = {
    "alloy": "af_alloy",
    "ash": "am_echo",
    "ballad": "bm_fable",
    "cedar": "am_onyx",
    "coral": "af_nova",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_heart",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_alloy",
    "shimmer": "af_heart",
    "verse": "am_echo",
}


def own_voice(name: str) -> str:
    """The voice of this model for a name of either list; MiraError BAD_REQUEST names them all."""
    known = name.strip().lower()
    if known in OWN_VOICES:
        return known
    if known in OPENAI_VOICES:
        return OPENAI_VOICES[known]
    choice = ", ".join((*OWN_VOICES, *OPENAI_VOICES))
    raise MiraError(Kind.BAD_REQUEST, f"voice: mira/speech has no such voice; it has {choice}", param="voice")
