"""Binding of fields to parts: the parameter names of `forward` are the request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vireid.core.errors import Problem, closest


def requested(part: Any) -> dict[str, bool]:
    """Names of the fields that a part requests, and whether each is required.

    A wrapper whose `forward` hides the request of another part declares it in an attribute `needs`: a collection of
    required names, or a map as this function returns it.

    Raises:
        TypeError: If the request cannot be read because `forward` takes `*args` or `**kwargs`.

    Example:
        >>> def loss(features, labels, attributes_known=None): ...
        >>> requested(loss)
        {'features': True, 'labels': True, 'attributes_known': False}
    """
    needs = getattr(part, "needs", None)
    if needs is not None:
        return dict(needs) if isinstance(needs, Mapping) else dict.fromkeys(needs, True)
    return _request_of(getattr(part, "forward", part))


def _request_of(function: Callable[..., Any]) -> dict[str, bool]:
    request = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{function!r} takes *{name}: its request cannot be read; set `needs`")
        if name != "self":
            request[name] = parameter.default is parameter.empty
    return request


def bind(part: Any, uses: Mapping[str, str] | None, provided: Iterable[str]) -> tuple[dict[str, str], list[Problem]]:
    """Assign a field to each parameter of a part.

    Args:
        part: A module or function.
        uses: Parameter -> field, where the field has another name than the parameter.
        provided: Names of the fields that will be available.

    Returns:
        {parameter: field}, without optional parameters whose field is not provided; and the problems, without a place.

    Example:
        >>> bind(lambda features, labels: None, {"features": "pooled"}, ["pooled", "labels"])
        ({'features': 'pooled', 'labels': 'labels'}, [])
    """
    uses = dict(uses or {})
    provided = sorted(set(provided))
    request, fields, problems = requested(part), {}, []
    for parameter in sorted(set(uses) - set(request)):
        text, known = f"USES names {parameter!r}, which is not a parameter", ", ".join(request)
        problems.append(Problem(text, suggestion=closest(parameter, request), note=f"(parameters: {known})"))
    for parameter, required in request.items():
        field = uses.get(parameter, parameter)
        if field in provided:
            fields[parameter] = field
        elif required or parameter in uses:
            text, known = f"needs {field!r}, which nothing before it provides", ", ".join(provided)
            problems.append(Problem(text, suggestion=closest(field, provided), note=f"\n    (provided: {known})"))
    return fields, problems


def serve(fields: Mapping[str, Any], binding: Mapping[str, str]) -> dict[str, Any]:
    """Select the keyword arguments of a bound part."""
    return {parameter: fields[field] for parameter, field in binding.items()}
