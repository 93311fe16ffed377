"""Validation of identity and camera label arrays: convert to one integer or text form, or raise one clear error."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import DataError, UserError
from vireid.core.labels import LARGEST, fits_int64, normalized_name, number_fault, shortened, str_of, whole_number


def label_array(name: str, values: object, *, negative: bool = False) -> np.ndarray:
    """Convert labels to (N,) int64, or to text if some labels are names.

    Accepted: integers, whole floats (3.0), text. Text becomes numbers if all of it is integers, so that "4",
    "4.0" and 4 are one label. Other text is compared after Unicode normalization.

    Args:
        name: Name of the argument, for errors.
        values: Labels.
        negative: Allow negative integers, which many datasets write for images without a known identity.

    Raises:
        UserError: For true/false values, mixed types, integers beyond 64 bits and other types.
        DataError: With the row, for NaN, fractions, negative numbers and empty text.

    Example:
        >>> label_array("query_ids", ["0004", "7.0"]).tolist(), label_array("query_ids", [4.0, 7.0]).tolist()
        ([4, 7], [4, 7])
    """
    exact = _exact(values)
    array = _array(name, values)
    if array.dtype.kind in "US":
        return _of_text(name, array)
    if array.dtype.kind == "b":
        raise UserError(f"{name} holds true and false; labels are integers or names")
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
        _require(name, array, np.isfinite(array), "is not finite")
        _require(name, array, array == np.floor(array), "is not an integer")
        _require(name, array, np.abs(array) < exact, "is too large for a float; give integers")
    elif array.dtype.kind not in "iu":
        raise UserError(f"{name} holds values of the type {array.dtype}; labels are integers or names")
    if not negative:
        _require(name, array, array >= 0, "is negative; leave images without a label out")
    if array.dtype.kind == "u":
        _require(name, array, array <= np.uint64(LARGEST), f"is larger than {LARGEST}, the largest 64-bit integer")
    return array.astype(np.int64)


def comparable_labels(
    first: tuple[str, object], second: tuple[str, object], *, negative: tuple[bool, bool] = (False, False)
) -> tuple[np.ndarray, np.ndarray]:
    """Convert two label arrays (name, values) to int64, with equal numbers for equal labels.

    Raises:
        UserError: As `label_array`, and if one array holds numbers and the other names.
        DataError: As `label_array`.

    Example:
        >>> comparable_labels(("query_ids", ["mia"]), ("gallery_ids", ["leo", "mia"]))
        (array([1]), array([0, 1]))
    """
    arrays = [label_array(*side, negative=allowed) for side, allowed in zip((first, second), negative)]
    kinds = [array.dtype.kind for array in arrays]
    if kinds == ["i", "i"]:
        return arrays[0], arrays[1]
    if "i" in kinds:
        numbers, names = (0, 1) if kinds[0] == "i" else (1, 0)
        if len(arrays[numbers]) and not any(whole_number(text) is not None for text in set(arrays[names].tolist())):
            titles = first[0], second[0]
            raise UserError(
                f"{titles[numbers]} holds integers and {titles[names]} holds names (such as"
                f" {shortened(str(arrays[names][0]))!r}): they can never be equal; use one kind of label on both sides"
            )
    both = np.concatenate([array.astype(str) for array in arrays])
    codes = np.unique(both, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return codes[: len(arrays[0])], codes[len(arrays[0]) :]


def _exact(values: object) -> int:
    """The number below which every integer has a float of its own, in the type of these values."""
    kind = getattr(values, "dtype", None)
    if isinstance(kind, torch.dtype):
        return round(2 / torch.finfo(kind).eps) if kind.is_floating_point else 2**53
    if isinstance(kind, np.dtype) and kind.kind == "f":
        return min(2**53, round(2 / float(np.finfo(kind).eps)))
    if isinstance(values, (list, tuple)):
        return min(map(_exact, values), default=2**53)
    return 2**53


def _array(name: str, values: object) -> np.ndarray:
    """Convert to an array; raise for lists of mixed types that NumPy would convert silently."""
    if np.ma.is_masked(values):
        raise UserError(f"{name} is a masked array with masked entries; leave these images out")
    if isinstance(values, (list, tuple)) and values and all(isinstance(value, Tensor) for value in values):
        values = torch.stack(tuple(values)) if len({(v.shape, v.dtype) for v in values}) == 1 else values
    if isinstance(values, Tensor):
        if values.layout is not torch.strided:
            raise UserError(f"{name} is a sparse tensor; give {name}.to_dense()")
        values = values.detach().cpu().numpy() if values.dtype.is_floating_point is False else _float_tensor(values)
    if not isinstance(values, np.ndarray) or values.dtype == object:
        values = values.tolist() if isinstance(values, np.ndarray) else values
        if isinstance(values, (list, tuple)):
            _check_kinds(name, values)
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{name} is not a list of labels: {error}") from error
    mixed = array.dtype == object or (array.dtype.kind == "f" and isinstance(values, (list, tuple)))
    if mixed and array.ndim == 1:  # integers that are too long for NumPy become objects or floats
        items = list(values)  # type: ignore[call-overload]
        plain = (float, np.floating, Tensor) if array.dtype.kind == "f" else ()
        bad = [row for row, item in enumerate(items) if not (isinstance(item, plain) or fits_int64(item))]
        if bad:
            item = shortened(str_of(items[bad[0]]))
            raise DataError(f"{name}: entry {bad[0]} is {item}; labels are 64-bit integers or text")
    return array


def _float_tensor(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()


def _check_kinds(name: str, items: list | tuple) -> None:
    kinds = {_kind(kind) for kind in set(map(type, items))}
    if "true or false" in kinds:
        raise UserError(f"{name} holds true and false; labels are integers or names")
    if "text" in kinds and kinds - {"text"}:
        texts = [item for item in items if isinstance(item, str)]
        others = [item for item in items if not isinstance(item, str)]
        raise UserError(
            f"{name} mixes text ({shortened(repr(texts[0]))}) and other values ({shortened(str_of(others[0]))});"
            " use one kind of label"
        )


def _kind(kind: type) -> str:
    table: list[tuple[tuple[type, ...], str]] = [((bool, np.bool_), "true or false"), ((str, bytes), "text")]
    return next((word for kinds, word in table if issubclass(kind, kinds)), "other")


def _of_text(name: str, array: np.ndarray) -> np.ndarray:
    """Text labels as int64 where all are integers, else as normalized text."""
    words, inverse = np.unique(array, return_inverse=True)
    texts = [word.decode("utf-8", "replace") if isinstance(word, bytes) else word for word in words.tolist()]
    numbers = [whole_number(text) for text in texts]
    for text, number in zip(texts, numbers):
        fault = "is empty" if not text.strip() else number_fault(text) if number is None else None
        if fault:
            rows = np.flatnonzero(inverse.reshape(-1) == texts.index(text))
            raise DataError(f"{name}: entry {int(rows[0])} is {shortened(text)!r}: {fault}")
    inverse = inverse.reshape(array.shape)
    if all(number is not None for number in numbers):
        return np.array(numbers, np.int64)[inverse] if numbers else np.zeros(array.shape, np.int64)
    known = [str(number) if number is not None else normalized_name(text) for text, number in zip(texts, numbers)]
    return np.array(known)[inverse]


def _require(name: str, array: np.ndarray, good: np.ndarray, fault: str) -> None:
    if not good.all():
        row = int(np.flatnonzero(~good.reshape(-1))[0])
        raise DataError(f"{name}: entry {row} is {array.reshape(-1)[row]}, which {fault}")
