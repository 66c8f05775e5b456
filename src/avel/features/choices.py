"""Words that a person chooses from, apart from the code that uses them, so that a command line starts quickly."""

from typing import Literal, get_args

Precision = Literal["float32", "float16", "int8"]
"""Of a network's arithmetic."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

StoredType = Literal["float16", "float32"]
"""Of the numbers in a feature store."""
STORED_TYPES: tuple[StoredType, ...] = get_args(StoredType)

FloatType = Literal["float16", "float32", "float64"]
"""Of the numbers in files of AVE's layout."""
FLOAT_TYPES: tuple[FloatType, ...] = get_args(FloatType)

EngineName = Literal["local", "dask"]
"""Where videos are extracted: in this process, or in many."""
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
