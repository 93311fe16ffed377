"""What each row costs, as columns beside its scores: a table of its own, since it has no protocol and no seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vireid.config.build import Build
from vireid.suites.plan import Cell, SuitePlan
from vireid.zoo.cost import Cost, Speed, cost, speed


@dataclass(frozen=True)
class Column:
    """A cost: how its column is headed, and its value from what was counted or measured."""

    heading: str
    counted: Callable[[Cost], float] | None = None
    measured: Callable[[Speed], float | None] | None = None
    digits: int = 1


COLUMNS: dict[str, Column] = {
    "parameters": Column("parameters (M)", lambda counted: counted.parameters / 1e6),
    "retrieval_parameters": Column("read in retrieval (M)", lambda counted: counted.retrieval_parameters / 1e6),
    "gflops": Column("GFLOPs an image", lambda counted: counted.flops / 1e9),
    "width": Column("descriptor", lambda counted: counted.width, digits=0),
    "latency": Column("ms a batch of 32", measured=lambda timed: 1000 * timed.latency),
    "images_per_second": Column("images/s", measured=lambda timed: timed.images_per_second, digits=0),
    "memory": Column(
        "peak GPU memory (MB)", measured=lambda timed: timed.peak_memory and timed.peak_memory / 1e6, digits=0
    ),
}


@dataclass(frozen=True)
class Costs:
    """Row and data set -> cost by name; None where this machine cannot tell."""

    names: Sequence[str]
    values: Mapping[tuple[str, str], Mapping[str, float | None]]

    def grid(self) -> list[list[str]]:
        """Lines of text, the headings first."""
        lines = [["", *(COLUMNS[name].heading for name in self.names)]]
        for (row, dataset), values in self.values.items():
            title = f"{row}, {dataset}" if dataset else row
            lines.append([title, *(_text(values[name], COLUMNS[name].digits) for name in self.names)])
        return lines


def costs_of(plan: SuitePlan, names: Sequence[str], *, device: str = "cpu") -> Costs:
    """The costs that a suite asks for, at each row's image size. Networks are built without pretrained weights."""
    timed = any(COLUMNS[name].measured for name in names)
    return Costs(names, {(c.row.name, c.dataset): _values(c, names, timed, device) for c in plan.cells})


def _values(cell: Cell, names: Sequence[str], timed: bool, device: str) -> dict[str, float | None]:
    run = next(iter(cell.runs.values()))
    size = run.checked.config.SIZE
    model = Build(run.checked).model(weights=False)
    counted = cost(model, size)
    measured = speed(model, size, device=device) if timed else None
    values: dict[str, float | None] = {}
    for name in names:
        column = COLUMNS[name]
        if column.counted:
            values[name] = column.counted(counted)
        elif column.measured and measured:
            values[name] = column.measured(measured)
    return values


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
