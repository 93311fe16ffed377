"""Time of `import vireid` and of its public names, and the size of the installation with each extra, as JSON.

    python benchmarks/speed/imports.py --json benchmarks/results/imports.json

Imports: each statement runs in new Python processes. Reported are the smallest of their CPU times, the modules of other
distributions that it loads, and those that take longest without what they import (`python -X importtime`, wall time).

Sizes: files of the installed distributions that an extra of setup.py adds to those of the core. An extra whose
distributions are not installed has no size.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vireid.core.errors import guarded
from vireid.core.io import write_json
from vireid.core.paths import path_argument

ROOT = Path(__file__).resolve().parents[2]
STATEMENTS = {
    "nothing": "pass",
    "import vireid": "import vireid",
    "vireid.load": "import vireid; vireid.load",
    "vireid.evaluate_retrieval": "import vireid; vireid.evaluate_retrieval",
    "import torch": "import torch",
    "import timm": "import timm",
}
TOP = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))"


def loaded(statement: str) -> list[str]:
    """Top-level modules outside of the standard library that a statement loads in a new process."""
    run = subprocess.run([sys.executable, "-c", f"{statement}\n{TOP}"], capture_output=True, text=True, check=True)
    return [name for name in run.stdout.split() if not name.startswith("_")]


def seconds(statement: str, repeats: int) -> float:
    """Smallest CPU time, of the process and the system, of new processes that run a statement."""
    times = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", statement], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def own_seconds(statement: str, repeats: int) -> dict[str, float]:
    """Top-level module -> shortest time of its modules without what they import; the longest first."""
    words = [sys.executable, "-X", "importtime", "-c", statement]
    reports = [subprocess.run(words, capture_output=True, text=True, check=True).stderr for _ in range(repeats)]
    times = [_times(report) for report in reports]
    shortest = {name: min(each.get(name, 0.0) for each in times) for name in times[0]}
    return {name: round(value, 3) for name, value in sorted(shortest.items(), key=lambda item: -item[1])}


def _times(report: str) -> dict[str, float]:
    """Top-level module -> seconds, of the text that `-X importtime` prints."""
    total: dict[str, float] = {}
    for line in report.splitlines():
        cells = line.removeprefix("import time:").split("|")
        if len(cells) == 3 and cells[0].strip().isdigit():
            name = cells[2].strip().partition(".")[0]
            total[name] = total.get(name, 0.0) + int(cells[0]) / 1e6
    return total


def declared() -> dict[str, list[str]]:
    """Requirements of setup.py: "core" and each extra."""
    import setuptools

    found: dict[str, dict] = {}
    setup, setuptools.setup = setuptools.setup, lambda **words: found.update(words)
    try:
        file = ROOT / "setup.py"
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {"__file__": str(file)})
    finally:
        setuptools.setup = setup
    return {"core": found["install_requires"], **found["extras_require"]}


def closure(requirements: Iterable[str]) -> tuple[set[str], set[str]]:
    """Distributions that requirements install: those that are installed here, and those that are missing."""
    installed: set[str] = set()
    missing: set[str] = set()
    done: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        each = waiting.pop()
        name, extras = canonicalize_name(each.name), frozenset(each.extras)
        if (each.marker is not None and not each.marker.evaluate({"extra": ""})) or (name, extras) in done:
            continue
        done.add((name, extras))
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            missing.add(name)
            continue
        installed.add(name)
        for text in needed:
            other = Requirement(text)
            marker, other.marker = other.marker, None
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(other)
    return installed, missing


def size(name: str) -> int:
    """Bytes of the files of an installed distribution."""
    paths = (Path(str(file.locate())) for file in metadata.files(name) or [])
    return sum(path.stat().st_size for path in paths if path.is_file())


def sizes() -> list[dict[str, object]]:
    """One row for the core and for each extra."""
    groups = declared()
    core, _ = closure(groups["core"])
    rows = []
    for group, requirements in groups.items():
        installed, missing = closure(requirements)
        added = {name: size(name) for name in (installed if group == "core" else installed - core)}
        largest = sorted(added.items(), key=lambda item: -item[1])[:5]
        rows.append(
            {
                "extra": group,
                "requirements": requirements,
                "megabytes": None if missing else round(sum(added.values()) / 1e6, 1),
                "distributions": len(added),
                "largest_megabytes": {name: round(number / 1e6, 1) for name, number in largest},
                "not_installed": sorted(missing),
            }
        )
    return rows


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="processes of each statement (default: 5)")
    parser.add_argument("--json", type=path_argument, metavar="FILE", help="also write the result to a file")
    arguments = parser.parse_args(argv)
    nothing = set(loaded("pass"))
    rows = []
    for name, statement in STATEMENTS.items():
        longest = own_seconds(statement, arguments.repeats)
        rows.append(
            {
                "statement": name,
                "cpu_seconds": round(seconds(statement, arguments.repeats), 3),
                "loads": [module for module in loaded(statement) if module not in nothing],
                "longest_seconds": {module: longest[module] for module in list(longest)[:6]},
            }
        )
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    machine["load_average"] = round(os.getloadavg()[0], 2)  # of the last minute, before the measurement
    result = {"conditions": {**machine, "repeats": arguments.repeats}, "imports": rows, "sizes": sizes()}
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        write_json(arguments.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
