"""Run the command line as `python -m vireid`, or by the path of this file."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started by its path: search for imports where the package lies, not among its modules
    folder = Path(__file__).resolve().parent
    sys.path[:] = [path for path in sys.path if not path or Path(path).resolve() != folder]
    sys.path.append(str(folder.parent))

from vireid.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
