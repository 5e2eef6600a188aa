"""What is said of a client: the files it reads, what goes into them, and what a person still has to do."""

from typing import Any, Literal

from msgspec import Struct

#: Stands for the secret in everything that is shown; whoever has the key at hand puts it in its place.
PLACEHOLDER = "YOUR_API_KEY"
KEY_VARIABLE = "MIRA_API_KEY"

Format = Literal["json", "toml", "yaml"]


class Model(Struct, frozen=True):
    """A model that can answer: its id as in `/v1/models`, and what clients ask of it. Limits are tokens."""

    id: str
    context_tokens: int | None = None
    images: bool = False

    @property
    def name(self) -> str:
        """What people call it."""
        return self.id.rpartition("/")[2]


class Target(Struct, frozen=True, kw_only=True):
    """Where a client is pointed. `base_url` is Mira's root without `/v1`; `model` is one of `models`.

    `chosen`: a person named the model, so it replaces one that stands in a configuration already. `home` is the
    folder in which the client's files lie, as the client has to read it.
    """

    base_url: str
    model: Model
    models: tuple[Model, ...]
    key: str = PLACEHOLDER
    chosen: bool = False
    home: str = "~"


class Default(Struct, frozen=True):
    """A setting that is made only where there is none."""

    value: Any


class Rows(Struct, frozen=True):
    """Objects of a list, each of which replaces the one that is alike in the members named by `alike`."""

    alike: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


class File(Struct, frozen=True, kw_only=True):
    """A file of a client, `path` below its home. `settings` go into what is there already.

    `instead` are other paths that the client reads too; the one that exists is taken. `secret`: the key is in it.
    `owned`: it is Mira's alone. `stronger` are settings which, where somebody made them, would win over these.
    """

    path: str
    format: Format
    settings: dict[str, Any]
    instead: tuple[str, ...] = ()
    secret: bool = False
    owned: bool = False
    stronger: tuple[tuple[str, ...], ...] = ()


class Snippet(Struct, frozen=True):
    """Lines to run as they stand."""

    language: Literal["shell", "python", "javascript"]
    text: str


class Plan(Struct, frozen=True, kw_only=True):
    """What points a client at a target.

    `environment`: the client takes the key from `MIRA_API_KEY`. `run` is a command that asks the model something.
    """

    id: str
    title: str
    protocol: str
    files: tuple[File, ...] = ()
    snippet: Snippet | None = None
    environment: bool = False
    run: str | None = None
    notes: tuple[str, ...] = ()
