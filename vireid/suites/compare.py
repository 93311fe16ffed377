"""Run a suite: plan, train the missing runs, collect their results, write the tables, check them."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import vireid
from vireid.core.errors import UserError
from vireid.core.io import replaced_file, write_json, write_text
from vireid.suites import page, tables
from vireid.suites.evaluations import collected_evaluations, evaluate_all, evaluation_outcome
from vireid.suites.figures import check_figures, draw_figures
from vireid.suites.plan import SuitePlan, make_plan
from vireid.suites.published import published_numbers
from vireid.suites.reduced import Reduction
from vireid.suites.results import Results, gather
from vireid.suites.runs import Outcome, RunStore, collected, job_lines, name_runs, perform_all
from vireid.suites.suite import Suite, read_suite


@dataclass(frozen=True)
class Comparison:
    """A suite with its output folder and settings.

    Args:
        suite: The suite.
        out: Output folder: `runs/`, links to them by row in `rows/`, `configs/`, `figures/`, and `results.json`,
            `results.md`, `results.csv`, `results.tex`, `report.html`.
        train: Arguments of Python that start a training.
        data: Overrides, see `make_plan`.
        seeds: Replace the seeds of the suite.
        reduced: Overrides that make every row smaller.
        say: Prints one line.
    """

    suite: Suite
    out: Path
    train: Sequence[str]
    data: Sequence[str] = ()
    seeds: Sequence[int] = ()
    reduced: Reduction | None = None
    say: Callable[[str], None] = print

    @classmethod
    def of(cls, suite: Path | str, out: Path, train: Sequence[str], **settings: object) -> Comparison:
        """Read a suite: a file, or the name of a shipped one.

        Raises:
            UserError: If the file cannot be read.
            ConfigError: With all problems of the file.
        """
        return cls(read_suite(suite), out, train, **settings)  # type: ignore[arg-type]

    def plan(self) -> SuitePlan:
        """Check the suite and plan its runs.

        Raises:
            ConfigError: With all problems of all rows.
        """
        check_figures(self.suite)
        published_numbers(self.suite)
        configs = self.out / "configs"
        return make_plan(self.suite, configs, data=self.data, seeds=self.seeds, reduced=self.reduced)

    def describe(self, plan: SuitePlan) -> str:
        """Return one line for each row, dataset and seed: the address and the state of its run."""
        store, lines = self._store(), []
        for cell in plan.cells:
            for seed, run in cell.runs.items():
                outcome = store.outcome(run)
                state = "missing" if outcome is None else "done" if outcome.done else f"failed ({outcome.reason})"
                if outcome is None and (changed := store.changes(run)):
                    state = f"missing ({'; '.join(changed)})"
                if outcome is not None and outcome.remark:
                    state += f" ({outcome.remark})"
                place = f" on {cell.dataset}" if cell.dataset else ""
                lines.append(f"{run.address}  {cell.row.name}{place}, seed {seed}: {state}")
                for evaluation in run.evaluations:
                    done = outcome is not None and outcome.done and evaluation_outcome(store, outcome, run, evaluation)
                    lines.append(f"    evaluated on {evaluation.name}: {'done' if done else 'missing'}")
        return "\n".join([*lines, f"{len(plan.runs)} different runs"])

    def jobs(self, plan: SuitePlan) -> list[str]:
        """Return one shell command for each missing run."""
        return job_lines(self._store(), plan.runs)

    def _store(self) -> RunStore:
        return RunStore(self.out, self.train)

    def run(self, plan: SuitePlan, *, jobs: int = 1) -> Results:
        """Train the missing runs, `jobs` in parallel, then write the tables."""
        store = self._store()
        trained = perform_all(store, plan.runs, labels=plan.labels, jobs=jobs, say=self.say)
        evaluated = evaluate_all(store, plan.runs, trained, jobs=jobs, say=self.say)
        return self.write(plan, {**trained, **evaluated}, store)

    def collect(self, plan: SuitePlan, folders: Sequence[Path]) -> Results:
        """Write the tables from runs that were trained elsewhere."""
        store = self._store()
        trained = collected(plan.runs, folders, store.inputs)
        return self.write(plan, {**trained, **collected_evaluations(store, plan.runs, trained)}, store)

    def write(self, plan: SuitePlan, outcomes: dict[str, Outcome], store: RunStore) -> Results:
        """Write all outputs from the finished runs."""
        results = gather(plan, outcomes)
        published = published_numbers(self.suite)
        suite_tables = tables.tables(results, published)
        commands = {address: ["python", *store.command(run)[1:]] for address, run in plan.runs.items()}
        figures, problems = draw_figures(results, self.out / "figures")
        for problem in problems:
            self.say(problem)
        name_runs(self.out / "rows", _names(plan, outcomes))
        write_json(self.out / "results.json", results.to_json())
        write_text(self.out / "results.md", f"# {self.suite.title}\n\n" + self._body(results, suite_tables))
        write_text(self.out / "results.csv", tables.comma_separated(results))
        write_text(self.out / "results.tex", tables.latex(suite_tables, results.costs))
        text = page.html(results, suite_tables, figures=figures, commands=commands, environment=versions())
        write_text(self.out / "report.html", text)
        self.say(tables.markdown(suite_tables, results.compared, results.failures(), results.costs))
        self.say(f"tables: {self.out / 'results.md'}, page: {self.out / 'report.html'}")
        return results

    def copy(self, target: Path) -> None:
        """Copy the small outputs to another folder: JSON, Markdown and the figures of this suite."""
        target.mkdir(parents=True, exist_ok=True)
        pictures = sorted(p for name in self.suite.figures for p in (self.out / "figures").glob(f"{name.lower()}*.png"))
        for path in (self.out / "results.json", self.out / "results.md", *pictures):
            with replaced_file(target / path.name) as file:
                file.write(path.read_bytes())

    def _body(self, results: Results, suite_tables: Sequence[tables.Table]) -> str:
        """Return the content of `results.md` below its heading."""
        note = f"{self.suite.note}\n\n" if self.suite.note else ""
        text = tables.markdown(suite_tables, results.compared, results.failures(), results.costs)
        return note + text.removeprefix(f"## {self.suite.title}\n\n")


def _names(plan: SuitePlan, outcomes: Mapping[str, Outcome]) -> dict[str, Path]:
    """Return the folder of each finished run by a readable name, such as `mmd_pae_aal_seed0`."""
    names: dict[str, Path] = {}
    for cell in plan.cells:
        for seed, run in cell.runs.items():
            if outcomes[run.address].done:
                words = re.findall(r"[A-Za-z0-9.]+", f"{cell.row.name} {cell.dataset}")
                names.setdefault("_".join([*words, f"seed{seed}"]).lower(), outcomes[run.address].folder)
    return names


def versions() -> dict[str, str]:
    """Return the versions of vireid, Python and torch."""
    return {"vireid": vireid.__version__, "python": platform.python_version(), "torch": torch.__version__}


def misses(results: Results) -> list[str]:
    """Return one sentence for each rank-1 and mAP that differs from the published one by more than TOLERANCE.

    Raises:
        UserError: If the suite has no REPORTED, or the runs are on synthetic data.
    """
    suite = results.plan.suite
    published = published_numbers(suite)
    if not published:
        raise UserError(f"{suite.file.name}: --check needs REPORTED: the published row of each row")
    if any(entry.synthetic for entry in results.entries):
        raise UserError("--check compares with numbers on real data; these runs are on synthetic data")
    differences = []
    for table in tables.tables(results, published):
        for row, values in table.lines.items():
            for column, value in values.items():
                if value.reported is None or column[2] not in ("rank1", "mAP"):
                    continue
                if value.mean is None:
                    differences.append(
                        f"{row}: {table.heading(column)} was not measured (reported {value.reported:.1f})"
                    )
                elif abs(value.mean - value.reported) > suite.tolerance:
                    differences.append(
                        f"{row}: {table.heading(column)} is {value.mean:.1f}, reported {value.reported:.1f}"
                        f" (tolerance {suite.tolerance:g})"
                    )
    return differences
