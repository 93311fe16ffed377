"""Table of the pseudo labels of runs: clusters, outliers, agreement with the true identities in each epoch, and scores.

vireid synth --layout sysu --out datasets/unlabelled --identities 120 --images 4 --size 96x48 --difficulty 0 --seed 6
vireid train --config-file configs/demo/adca_stage1.yml
vireid train --config-file configs/demo/adca.yml
python benchmarks/speed/pseudo_labels.py runs/adca_stage1 runs/adca --json benchmarks/results/pseudo_labels.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vireid.core.errors import UserError, guarded
from vireid.core.io import write_json
from vireid.runs.folder import RunFolder
from vireid.runs.log import LABELS, read_records
from vireid.runs.metrics import Metrics


def epochs_of(run: Path) -> list[dict[str, Any]]:
    """The records of the pseudo labels of a run.

    Raises:
        UserError: If the log has none.
    """
    records = [record for record in read_records(RunFolder(run).log)[0] if record.event == LABELS]
    if not records:
        raise UserError(f"{RunFolder(run).log}: has no record of pseudo labels; train with LABELS DBSCANPseudoLabels")
    return [{"epoch": record.epoch, **record.values} for record in records]


def scores_of(run: Path) -> dict[str, float]:
    """Protocol and metric -> value, of the results of a run."""
    reports = Metrics.read(RunFolder(run).metrics).reports
    return {f"{name}/{metric}": each.means[metric] for name, each in reports.items() for metric in ("rank1", "mAP")}


def table(records: list[dict[str, Any]]) -> str:
    """A Markdown table, one row for each epoch."""
    lines = ["| epoch | visible: clusters, outliers | ARI | purity | infrared: clusters, outliers | ARI | purity |"]
    lines.append("|---:|---:|---:|---:|---:|---:|---:|")
    for record in records:
        cells = [str(record["epoch"])]
        for modality in ("visible", "infrared"):
            clusters, outliers = (record[f"{modality}/{name}"] for name in ("clusters", "outliers"))
            agreement = [f"{record[f'{modality}/{name}']:.3f}" for name in ("ari", "purity")]
            cells += [f"{clusters}, {outliers}", *agreement]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@guarded
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args(argv)
    content = {}
    for run in arguments.runs:
        records = epochs_of(run)
        content[run.name] = {"epochs": records, "scores": scores_of(run)}
        print(f"{run.name}\n\n{table(records)}\n")
        print("  ".join(f"{name} {100 * value:.1f}" for name, value in content[run.name]["scores"].items()), "\n")
    if arguments.json:
        write_json(arguments.json, content)


if __name__ == "__main__":
    raise SystemExit(main())
