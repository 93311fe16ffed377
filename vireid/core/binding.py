"""The parameter names of `forward` are the request: find them, check them, serve them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vireid.core.errors import nearest


def requested(part: Any) -> dict[str, bool]:
    """Names that a part asks for, and whether it cannot do without each.

    A wrapper that hides another part's request says it in an attribute `needs`: names, all required, or a map as this
    function returns it.

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


def bind(part: Any, uses: Mapping[str, str] | None, provided: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Decide which field serves each parameter.

    `uses` maps a parameter to a field of another name; `provided` are the fields that will be there. Returns
    ({parameter: field}, problems); a parameter that has a default and whose field nobody provides is left out.
    Problems are sentences without a place: the caller knows the place.

    >>> bind(lambda features, labels: None, {"features": "pooled"}, ["pooled", "labels"])
    ({'features': 'pooled', 'labels': 'labels'}, [])
    """
    uses = dict(uses or {})
    provided = sorted(set(provided))
    request, fields, problems = requested(part), {}, []
    for parameter in sorted(set(uses) - set(request)):
        problems.append(
            f"USES names {parameter!r}, which is not a parameter{nearest(parameter, request)}"
            f" (parameters: {', '.join(request)})"
        )
    for parameter, required in request.items():
        field = uses.get(parameter, parameter)
        if field in provided:
            fields[parameter] = field
        elif required or parameter in uses:
            problems.append(
                f"needs {field!r}, which nothing before it provides{nearest(field, provided)}"
                f"\n    (provided: {', '.join(provided)})"
            )
    return fields, problems


def serve(fields: Mapping[str, Any], binding: Mapping[str, str]) -> dict[str, Any]:
    """The keyword arguments of a bound part."""
    return {parameter: fields[field] for parameter, field in binding.items()}
