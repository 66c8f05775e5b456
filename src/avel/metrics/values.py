"""What metrics are made of: their arrays, numbers that may be undefined, and the checks of what is measured."""

import math
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, PlainSerializer, PlainValidator

Classes = npt.NDArray[np.int64]
Valid = npt.NDArray[np.bool_]

Number = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: None if math.isnan(value) else value),
]
"""A number that is ``nan`` where it is not defined, which is ``null`` in JSON."""


def _counts(value: Any) -> npt.NDArray[np.int64]:
    counts = np.asarray(value)
    if counts.dtype.kind not in "iu":
        raise ValueError(f"must be whole numbers, got {counts.dtype}")
    return counts.astype(np.int64)


Counts = Annotated[npt.NDArray[np.int64], PlainValidator(_counts), PlainSerializer(lambda counts: counts.tolist())]
"""An array of whole numbers, which is a list of lists in JSON."""


def validated(
    predicted: npt.ArrayLike, true: npt.ArrayLike, num_classes: int | None, valid: npt.ArrayLike | None
) -> tuple[Classes, Classes, Valid]:
    """The classes of segments as arrays of one shape (N, T).

    Args:
        predicted: (N, T) class of each segment, in [0, C).
        true: (N, T) the true classes.
        num_classes: C; not looked at if ``None``.
        valid: (N, T), False where a segment is only padding, whose class may be any number.

    Raises:
        ValueError: if shapes differ or a class is out of range.
    """
    p, t = np.asarray(predicted), np.asarray(true)
    v = np.ones(t.shape, np.bool_) if valid is None else np.asarray(valid, np.bool_)
    if p.ndim != 2 or p.shape != t.shape or v.shape != t.shape:
        raise ValueError(f"predicted, true and valid must have one shape (N, T), got {p.shape}, {t.shape}, {v.shape}.")
    for name, values in (("predicted", p), ("true", t)):
        if values.dtype.kind not in "iu":
            raise ValueError(f"{name} must be whole numbers, got {values.dtype}.")
        if num_classes is not None and v.any() and not 0 <= values[v].min() <= values[v].max() < num_classes:
            raise ValueError(
                f"{name} has classes {values[v].min()} to {values[v].max()}; with num_classes={num_classes}, "
                f"they must be 0 to {num_classes - 1}."
            )
    return p.astype(np.int64), t.astype(np.int64), v


def ratio(value: float, total: int) -> float:
    """``value / total``; ``nan`` when there is nothing to divide by."""
    return value / total if total else math.nan
