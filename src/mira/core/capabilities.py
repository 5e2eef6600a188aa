"""What one model takes, beside its limits: the row of a table that codecs read instead of asking for names.

A codec that renders a request for a model looks here for what the model would refuse. The defaults describe a model of
which nothing is known: the ground that older and foreign models share.
"""

from msgspec import Struct


class Capabilities(Struct, frozen=True, kw_only=True):
    """The flags of one model.

    `sampling`: it takes temperature, top_p and top_k. `reasoning`: it can think at all. `thinking_budget`: its thinking
    is switched on with a budget in tokens; `thinking_adaptive`: it decides itself how much to think, steered by an
    effort (a model may take both); `thinking_always_on`: its thinking cannot be switched off. `effort`: it takes an
    effort as such; `efforts` are the levels it knows. `forced_tools`: a request may say that a tool must be called.
    `mid_system`: instructions may stand in mid-conversation. `structured_output`: it takes a JSON Schema for its
    answer. `prefill`: a conversation may end in words of the model, which it continues.
    """

    sampling: bool = True
    reasoning: bool = True
    thinking_budget: bool = True
    thinking_adaptive: bool = False
    thinking_always_on: bool = False
    effort: bool = False
    efforts: tuple[str, ...] = ("low", "medium", "high")
    forced_tools: bool = True
    mid_system: bool = False
    structured_output: bool = True
    prefill: bool = True


UNKNOWN = Capabilities()
