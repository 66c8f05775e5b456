"""What a model is built from: the sizes of its input and its options. Needs no torch.

Both hold numbers and words only, so that they can be written into a checkpoint, and are checked when they come from
one, from a settings file or from a command line.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

MAX_FEATURE_DIMS = 65_536
MAX_REGIONS = 4_096
MAX_CATEGORIES = 65_536
MAX_HIDDEN_DIMS = 4_096
"""Sizes come from files that are not trusted; larger ones would only fill the memory."""

Size = Annotated[int, Field(ge=1, le=MAX_HIDDEN_DIMS)]
"""Of a layer inside a model."""

Heads = Annotated[int, Field(ge=1, le=64)]
"""Of attention."""

Layers = Annotated[int, Field(ge=1, le=16)]
"""How many layers, blocks or rounds."""

Share = Annotated[float, Field(ge=0, lt=1)]

_Features = Annotated[int, Field(ge=1, le=MAX_FEATURE_DIMS)]


class Checked(BaseModel):
    """Base of what is built from names and values: frozen, and no value is taken for one of another type.

    Raises:
        ValueError: if a name is unknown, or a value is of another type or out of range; the message names it and what
            is allowed.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())

    called: ClassVar[str]
    """What a value is called in messages."""

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ValueError(self._complaint(error)) from None

    @classmethod
    def _complaint(cls, error: pydantic.ValidationError) -> str:
        first = error.errors()[0]
        if first["type"] == "value_error":
            return str(first["ctx"]["error"])
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            return f"there is no {cls.called} {name!r}. The {cls.called}s are {', '.join(cls.model_fields) or 'none'}."
        return f"{cls.called} {name!r} must be {allowed(cls, name)}, got {first['input']!r}."


def allowed(kind: type[BaseModel], name: str) -> str:
    """What values a field may have, for a person to read: ``a whole number from 1 to 64``."""
    schema = kind.model_json_schema()["properties"][name]
    if "enum" in schema or "const" in schema:
        return f"one of {', '.join(schema.get('enum', [schema.get('const')]))}"
    if schema["type"] == "boolean":
        return "true or false"
    what = "a whole number" if schema["type"] == "integer" else "a number"
    last = f"to {schema['maximum']:g}" if "maximum" in schema else f"to below {schema['exclusiveMaximum']:g}"
    return f"{what} from {schema['minimum']:g} {last}"


class Dims(Checked):
    """Sizes of what a model takes and gives; they travel in its checkpoint.

    Attributes:
        visual_dims: D_v, features of a region.
        regions: R, regions of a picture.
        audio_dims: D_a, features of a segment's sound.
        num_categories: event categories, without background.
    """

    called: ClassVar[str] = "size"

    visual_dims: _Features = 512
    regions: Annotated[int, Field(ge=1, le=MAX_REGIONS)] = 49
    audio_dims: _Features = 128
    num_categories: Annotated[int, Field(ge=1, le=MAX_CATEGORIES)] = 28

    @property
    def num_classes(self) -> int:
        """Event categories and background."""
        return self.num_categories + 1


class Options(Checked):
    """Base of every model's options: numbers, truth values and words, each with what is allowed in its type."""

    called: ClassVar[str] = "option"

    early: ClassVar[Mapping[str, Any]] = {}
    """Options that earlier checkpoints do not name, since there was no other form, and what they mean then."""
