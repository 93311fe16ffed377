"""MODEL_ZOO.md: every shipped composition with what it costs, what was published and what was measured here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from vireid.config import assemble
from vireid.config.load import Config, read_unchecked
from vireid.core.errors import UserError
from vireid.zoo import models as zoo
from vireid.zoo.cost import ATTRIBUTES, Cost, cost
from vireid.zoo.published import Published

TITLES = {"sysu": "SYSU-MM01", "regdb": "RegDB", "llcm": "LLCM"}
ORDER = ("sysu", "regdb", "llcm")  # of the sections; others follow by name
SHOWN = ("rank1", "mAP")

HEAD = """# Model zoo

Every shipped composition. This page is made by `python tools/model_zoo.py` from the configs, from the published numbers
in `benchmarks/reported.yml` and from `benchmarks/results/zoo/results.json` where that is there; change those instead.

- **Parameters**: in training, without those of the losses. **At retrieval**: of them, those that describing an image
  reads.
- **GFLOPs**: of describing one image of the size in the table, the mean of a visible and an infrared one. A
  multiplication and an addition are two; convolutions and matrix products count, as torch's counter has them.
- **Descriptor**: how many numbers stand for an image.
- **Published**: rank-1 / mAP in percent for each protocol, by their authors, on real people; the number in brackets is
  the source. `v2i` is a visible query, `i2v` an infrared one. They are no results of this code.
- **Here**: rank-1 / mAP on synthetic people (`benchmarks/zoo.yml`: a very small network, 900 steps; chance: 2).
  They say that a method runs to its end and nothing about real people, and cannot be compared with published ones.
"""
TABLE = (
    "| model | parameters | at retrieval | GFLOPs | descriptor | image | published | here |",
    "|---|---:|---:|---:|---:|---:|---|---|",
)


@dataclass(frozen=True)
class Entry:
    """A composition and what is known of it without building its network."""

    name: str  # "sysu/mmd"
    config: Config
    published: str  # text, with the numbers of its sources
    measured: str

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.config.SIZE
        return height, width


@dataclass(frozen=True)
class Measured:
    """Scores of the zoo's suite: composition -> protocol -> metric -> mean in [0, 1]."""

    scores: Mapping[str, Mapping[str, Mapping[str, float]]]

    @classmethod
    def read(cls, file: Path) -> Measured:
        """From the results.json of a suite whose rows are called as compositions; empty where there is no such file."""
        if not file.is_file():
            return cls({})
        scores: dict[str, dict[str, dict[str, float]]] = {}
        try:
            for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
                name = f"{row['dataset']}/{row['row']}" if row["dataset"] else row["row"]
                means = {metric: value["mean"] for metric, value in row["metrics"].items()}
                if row["synthetic_people"] and means:
                    scores.setdefault(name, {})[row["protocol"]] = means
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{file}: not the results of a suite ({type(error).__name__}: {error})") from error
        return cls(scores)

    def text(self, name: str) -> str:
        found = self.scores.get(name, {})
        texts = [f"{p} {100 * m['rank1']:.1f} / {100 * m['mAP']:.1f}" for p, m in found.items()]
        return "; ".join(texts) or "not measured"


class Sources:
    """The published rows of compositions, and a number for each source that was used."""

    def __init__(self, published: Mapping[str, Published]) -> None:
        self.published = published
        self.used: list[str] = []

    def text(self, name: str) -> str:
        """The first row of `<method>/<data set>`, or called as the composition, that has numbers of its data set."""
        folder, model = name.split("/")
        for key, row in self.published.items():
            table, _, called = key.partition("/")
            if (table, called) == (model, folder) or (called == model and TITLES.get(folder, folder) in row.data):
                scores = _of(row.scores, folder, whole=TITLES.get(folder) == row.data or called == folder)
                if scores:
                    return f"{'; '.join(scores)} [{self._number(row.source)}]"
        return "none"

    def _number(self, source: str) -> int:
        if source not in self.used:
            self.used.append(source)
        return self.used.index(source) + 1


def _of(scores: Mapping[str, float], folder: str, *, whole: bool) -> list[str]:
    """Rank-1 and mAP for each protocol of a data set; `whole` where every score is of it."""
    prefix = f"{folder}/"
    own = {name.removeprefix(prefix): value for name, value in scores.items() if whole or name.startswith(prefix)}
    protocols = dict.fromkeys(name.rpartition("/")[0] for name in own)
    values = {protocol: [own.get(f"{protocol}/{metric}") for metric in SHOWN] for protocol in protocols}
    return [
        f"{protocol} {' / '.join(f'{value:.2f}' for value in both)}"
        for protocol, both in values.items()
        if None not in both
    ]


def entries(published: Mapping[str, Published], measured: Measured) -> tuple[list[Entry], list[str]]:
    """Every shipped composition in the order of the page, and the sources by number."""
    sources = Sources(published)
    names = sorted(zoo.list_models(), key=lambda name: (*_place(name), name))
    found = [
        Entry(name, read_unchecked(zoo.config_path(name)), sources.text(name), measured.text(name)) for name in names
    ]
    return found, sources.used


def _place(name: str) -> tuple[int, str]:
    folder = name.split("/")[0]
    return (ORDER.index(folder) if folder in ORDER else len(ORDER), folder)


def cost_of(entry: Entry) -> Cost:
    """What its network costs, with the identities of its data set; nothing is computed or downloaded."""
    facts = assemble.facts_of(entry.config)
    with torch.device("meta"):
        model = assemble.model(entry.config, facts, weights=False)
    return cost(model, entry.size, num_attributes=facts.num_attributes or ATTRIBUTES)


def line(entry: Entry, found: Cost) -> str:
    """A row of the table."""
    cells = (
        f"[{entry.name}](configs/{entry.name}.yml)",
        f"{found.parameters / 1e6:.1f} M",
        f"{found.retrieval_parameters / 1e6:.1f} M",
        f"{found.flops / 1e9:.2f}",
        f"{found.width}",
        "{} x {}".format(*entry.size),
        entry.published,
        entry.measured,
    )
    return f"| {' | '.join(cells)} |"


def page(found: Iterable[tuple[Entry, Cost]], sources: Iterable[str]) -> str:
    """The whole of MODEL_ZOO.md."""
    lines, section = [HEAD.rstrip()], ""
    for entry, costs in found:
        folder = entry.name.split("/")[0]
        if folder != section:
            section = folder
            lines += ["", f"## {TITLES.get(folder, folder)}", "", *TABLE]
        lines.append(line(entry, costs))
    lines += ["", "## Sources of published numbers", ""]
    lines += [f"{number}. {source}" for number, source in enumerate(sources, 1)]
    return "\n".join(lines) + "\n"
