"""Dataclasses that are written as JSON and read back. Their types say what is allowed; pydantic checks it."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Self

import pydantic


class Record:
    """Base of a dataclass whose fields are all there is to write."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, by the names of the fields."""
        content: dict[str, Any] = _adapter_of(type(self)).dump_python(self, mode="json")
        return content

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` made.

        Raises:
            ValueError: if it is not that; the message names the first field that is missing or of another type.
        """
        try:
            read: Self = _adapter_of(cls).validate_python(data)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or cls.__name__
            raise ValueError(f"{where}: {first['msg']}") from error
        return read


_adapter_of: Callable[[Any], pydantic.TypeAdapter[Any]] = cache(pydantic.TypeAdapter)
"""Built once for each dataclass, since that takes longer than to use it."""
