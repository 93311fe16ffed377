"""The runner and the adapters are plain modules of this folder, imported by their own names."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent)
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)

# imported once, as modules; --doctest-modules would import each of them a second time under another name
collect_ignore_glob = ["runner.py", "rounding.py", "ties.py", "adapters_*.py"]
