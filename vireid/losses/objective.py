"""Training objective: the weighted sum of named loss terms, each called with the fields that it requests by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.binding import bind, requested, serve
from vireid.core.errors import ConfigError, DataError, Problem, closest
from vireid.core.fields import BATCH_FIELDS
from vireid.core.interfaces import Measures
from vireid.core.types import Batch, ModelOutput, Progress
from vireid.layers.precision import float32_or_more, without_autocast


@dataclass(frozen=True)
class Term:
    """One loss term of the objective: the loss, its weight and its schedule."""

    loss: nn.Module
    weight: float = 1.0
    uses: Mapping[str, str] | None = None  # {forward parameter: field}, where they differ
    # Further factor. A schedule that reads the means of the last epoch lists these terms in `reads_terms`.
    schedule: Callable[[Progress], float] | None = None


class Objective(nn.Module):
    """Training objective: weighted sum of loss terms.

    A module, because losses may have parameters and buffers. Each loss is a child under the name of its term, so that
    the parameters of term "confusion" are `objective.confusion.*`.

    Args:
        terms: Loss terms by lower-case name.
        provided: Names of the fields that model and batch provide.

    Raises:
        ConfigError: All requested fields that nothing provides and all invalid names, before any image is read.

    Example:
        >>> from vireid.losses import IdentityCrossEntropy
        >>> objective = Objective({"id": Term(IdentityCrossEntropy(), weight=0.5)}, provided=["logits", "labels"])
        >>> sorted(objective.reads)
        ['labels', 'logits']
    """

    def __init__(self, terms: Mapping[str, Term], *, provided: Iterable[str]) -> None:
        super().__init__()
        self._terms = dict(terms)
        self._bindings: dict[str, dict[str, str]] = {}
        provided, problems = frozenset(provided), list[Problem]()
        if not terms:
            text = "has no terms; add at least one loss, such as ID: {NAME: IdentityCrossEntropy}"
            problems.append(Problem(text, key="OBJECTIVE"))
        for name, term in terms.items():
            key, kind = f"OBJECTIVE.{name.upper()}", type(term.loss).__name__
            binding, unbound = bind(term.loss, term.uses, provided)
            problems += [replace(problem, key=key, text=f"({kind}) {problem.text}") for problem in unbound]
            for other in getattr(term.schedule, "reads_terms", ()):
                if other not in terms:
                    text = f"({type(term.schedule).__name__}) reads the term {other!r}, which does not exist"
                    suggestion, note = closest(other, terms), f"(terms: {', '.join(terms)})"
                    problems.append(Problem(text, key=f"{key}.SCHEDULE", suggestion=suggestion, note=note))
            if hasattr(self, name) or "." in name or not name:
                problems.append(Problem(": a term cannot have this name; rename the term", key=key))
                continue
            self._bindings[name] = binding
            self.add_module(name, term.loss)
        if problems:
            raise ConfigError(problems)

    @property
    def reads(self) -> frozenset[str]:
        """Names of all fields that the terms read."""
        return frozenset(field for binding in self._bindings.values() for field in binding.values())

    def forward(self, batch: Batch, out: ModelOutput, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the total loss, and each term without weight and schedule, detached, for the log.

        A loss that returns several named scalars counts as their sum and is logged as "term/name". The values of
        `measure` (`core.interfaces.Measures`) are logged in the same way. Everything is computed in float32 or more,
        without autocast. Fields of the batch are selected by `out.source`.
        """
        fields = self._fields(batch, out)
        anchor = next(iter(out.values.values()), batch.labels)
        total, logged = torch.zeros((), device=anchor.device), {}
        with without_autocast(anchor):
            for name, term in self._terms.items():
                values = self._named_values(name, term, fields)
                factor = term.weight * (1.0 if term.schedule is None else term.schedule(progress))
                total = total + factor * torch.stack(list(values.values())).sum()
                logged |= {key: value.detach() for key, value in values.items()}
                logged |= self._measured(name, term.loss, fields)
        return total, logged

    @staticmethod
    def _fields(batch: Batch, out: ModelOutput) -> dict[str, Tensor]:
        from_batch = {name: getattr(batch, name) for name in BATCH_FIELDS}
        from_batch = {name: value for name, value in from_batch.items() if value is not None}
        if out.source is not None:
            from_batch = {name: value.index_select(0, out.source) for name, value in from_batch.items()}
            return from_batch | dict(out.values) | {"source": out.source}  # of all processes if rows were gathered
        return from_batch | dict(out.values)

    def _place(self, name: str) -> str:
        return f"OBJECTIVE.{name.upper()} ({type(self._terms[name].loss).__name__})"

    def _named_values(self, name: str, term: Term, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        binding, required = self._bindings[name], requested(term.loss)
        missing = sorted(field for parameter, field in binding.items() if field not in fields and required[parameter])
        if missing:
            raise DataError(f"{self._place(name)} needs {', '.join(missing)}, which this batch does not contain")
        result: Any = term.loss(**self._served(name, fields))
        named = (
            {f"{name}/{key}": value for key, value in result.items()} if isinstance(result, Mapping) else {name: result}
        )
        for key, value in named.items():
            if value.dim() != 0:
                raise ValueError(
                    f"{self._place(name)} returned {key} of shape {tuple(value.shape)}; a loss must return scalars"
                )
        return named

    def _served(self, name: str, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        """Collect the inputs of a term in float32 or more; each field is cast once, and only if a term reads it."""
        present = {parameter: field for parameter, field in self._bindings[name].items() if field in fields}
        fields |= {field: float32_or_more(fields[field]) for field in present.values()}
        return serve(fields, present)

    @torch.no_grad()
    def _measured(self, name: str, loss: nn.Module, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        if not isinstance(loss, Measures):
            return {}
        return {f"{name}/{key}": value for key, value in loss.measure(**self._served(name, fields)).items()}
