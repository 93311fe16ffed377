"""Model card of a bundle, in the form that the Hugging Face hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vireid.embedder.card_metadata import metadata_lines
from vireid.evaluation.report import (
    DAGGER,
    ORACLE_NOTE,
    STAR,
    conditions_text,
    is_oracle,
    metric_heading,
    percent_text,
    starred,
    transductive_notes,
)

NOT_STATED = "not stated"
PLACE = "PATH_OF_THIS_FOLDER"


def model_card(content: Mapping[str, Any], place: str = PLACE) -> str:
    """Write the model card of the content of a bundle's `config.json`.

    Args:
        content: The content.
        place: What the code passes to `vireid.load`.
    """
    model, training, before = content["model"]["MODEL"], content["training"], content["preprocessing"]
    height, width = before["size"]
    arch = model["BACKBONE"].get("ARCH")
    facts = [
        ("Network", f"{model['BACKBONE']['NAME']}{f' ({arch})' if arch else ''}"),
        ("Embedding", f"{' + '.join(content['embedding']['fields'])}, {content['embedding']['width']} values"),
        ("Input", f"RGB images, resized to {height} x {width} (height x width)"),
        ("Mirror images", f"added ({before['flips']})" if before["flips"] != "none" else "not used"),
        ("Training data", training_data(training)),
        ("Shipped config", ", ".join(training.get("configs", ())) or NOT_STATED),
        ("Checkpoint", training.get("checkpoint", NOT_STATED)),
        ("Random seed", training.get("seed", NOT_STATED)),
        ("License", content["license"] or NOT_STATED),
        ("Fingerprint", f"`{content['fingerprint'][:16]}`"),
        ("Written by", f"vireid {content['version']}"),
    ]
    lines = [*metadata_lines(content), "", "# Visible-infrared person re-identification model", ""]
    lines += ["The model computes embeddings of person images of visible and infrared cameras.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in facts), ""]
    lines += ["## Use", "", "```python", "import vireid", "", f"embedder = vireid.load({json.dumps(place)})"]
    lines += ['queries = embedder(["night.png"], modality="infrared")']
    lines += ['gallery = embedder(["day_1.png", "day_2.png"], modality="visible")']
    lines += ["ranking = embedder.rank(queries, gallery)", "```", ""]
    if imports := content["model"]["IMPORTS"]:
        lines += [f"The network needs the plug-ins {', '.join(f'`{name}`' for name in imports)}.", ""]
    return "\n".join([*lines, *_metrics(content["metrics"]), *_thresholds(content["decision"])]) + "\n"


def training_data(training: Mapping[str, Any]) -> str:
    """Format the dataset of the training in words.

    Example:
        >>> training_data({"data": "RegDB", "split": 3, "num_ids": 206})
        'RegDB, split 3, 206 identities'
    """
    name = training.get("name") or training.get("data")
    if not name:
        return NOT_STATED
    words = [str(name)]
    if training.get("split") is not None:
        words.append(f"split {training['split']}")
    if training.get("num_ids"):
        words.append(f"{training['num_ids']} identities")
    return ", ".join(words)


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    """The table of results with their conditions."""
    if not metrics:
        return ["## Results", "", "The model was not evaluated."]
    names = list(dict.fromkeys(name for result in metrics.values() for name in result["mean"]))
    lines = ["## Results", "", "Percent.", ""]
    lines += [f"| protocol | {' | '.join(map(metric_heading, names))} |", "|---|" + "---:|" * len(names)]
    for protocol, result in metrics.items():
        oracle = is_oracle(result["conditions"])
        cells = [percent_text([result["mean"][name]], oracle) if name in result["mean"] else "-" for name in names]
        lines.append(f"| {starred(protocol, result['conditions'])} | {' | '.join(cells)} |")
    lines.append("")
    lines += [f"- {protocol}: {conditions_text(result['conditions'])}" for protocol, result in metrics.items()]
    notes = transductive_notes(result["conditions"] for result in metrics.values())
    notes = [line for note in notes for line in ("", note.replace(STAR, rf"\{STAR}", 1))]
    return [*lines, *notes, *(("", ORACLE_NOTE) if any(DAGGER in line for line in lines) else ())]


def _thresholds(decision: Mapping[str, Any] | None) -> list[str]:
    """The table of thresholds and what they were chosen on."""
    if decision is None:
        return []
    lines = ["", "## Thresholds", "", "A gallery image with a larger cosine similarity is reported as a match.", ""]
    lines += ["| wanted FPIR | threshold | FPIR on the searches that chose it |", "|---:|---:|---:|"]
    for point in decision["points"]:
        fpir = point["fpir"]
        interval = ", ".join(f"{100 * bound:.1f}" for bound in fpir["interval"])
        lines.append(
            f"| {100 * point['wanted']:g} % | {point['limit']:.4f} | {100 * fpir['mean']:.1f} [{interval}] % |"
        )
    lines += [
        "",
        f"Chosen on {decision['searches']} searches by {decision['identities']} persons who were not enrolled, in"
        f" galleries of {decision['enrolled']} persons ({conditions_text(decision['conditions'])}). FPIR, the share of"
        " such searches that report a match, increases with the number of persons in the gallery.",
    ]
    return lines


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
