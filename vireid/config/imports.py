"""Plug-in modules of IMPORTS: import them, report faults of their names, and digest their source files."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from vireid.config.load import Config
from vireid.core.errors import Problem, UserError, closest
from vireid.core.io import digest
from vireid.core.paths import normalized_path

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_searched: list[str] = []  # current directories that were added to sys.path, newest last
_imported: dict[str, tuple[ModuleType, dict[str, str]]] = {}  # name -> module and the digests of its files then


def import_modules(config: Config) -> list[Problem]:
    """Import the modules of IMPORTS and return the problems; the current directory is searched as well.

    A module is also reported if its source changed since this process imported it, or if the current directory holds
    another file of that name: Python would use the old code.
    """
    modules, problems = config.get("IMPORTS"), []
    if not isinstance(modules, (list, tuple)) or not all(isinstance(module, str) for module in modules):
        return problems  # reported with the settings
    if modules:
        _search_here()
    place = config.origins.place(("IMPORTS",))
    folders = [file.parent for file in config.origins.files]
    for module in modules:
        if fault := _spelling_fault(module) or _stale(module):
            problems.append(Problem(f": {fault}", place, "IMPORTS"))
            continue
        try:
            loaded = importlib.import_module(module)
        except Exception as error:  # whatever a foreign module raises; the chain keeps its traceback for debuggers
            text = f": {module!r} cannot be imported: {type(error).__name__}: {error}"
            if isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name):
                text += _where(error.name, folders)
            problems.append(Problem(text, place, "IMPORTS"))
            continue
        if _imported.get(module, (None,))[0] is not loaded:
            _imported[module] = (loaded, source_digests(module))
    return problems


def plugin_digests(config: Config) -> dict[str, str]:
    """Digests of the source files of IMPORTS and of the local modules that they import: "my/losses.py" -> SHA-256.

    The modules have been imported. A package counts with all of its .py files; installed libraries do not count.
    """
    found: dict[str, str] = {}
    for module in config.IMPORTS:
        found |= _imported[module][1] if module in _imported else source_digests(module)
    return dict(sorted(found.items()))


def _search_here() -> None:
    """Search the current directory after everything else, but before earlier current directories."""
    here = os.getcwd()
    if here in sys.path and here not in _searched:
        return
    if here in _searched:
        _searched.remove(here)
        if here in sys.path:
            sys.path.remove(here)
    places = [sys.path.index(old) for old in _searched if old in sys.path]
    sys.path.insert(min(places, default=len(sys.path)), here)
    _searched.append(here)


def _spelling_fault(module: str) -> str:
    """Why a word is the name of a file and not of a module, and what to write; "" for a valid name."""
    if _MODULE.fullmatch(module) and not module.endswith(".py"):
        return ""
    path = Path(module.replace("\\", "/"))
    stem = path.with_suffix("") if path.suffix == ".py" else path
    parts = [part for part in stem.parts if part != "."]
    outside = stem.is_absolute() or ".." in parts or str(stem).startswith("~")
    if outside:
        try:
            folder = normalized_path(stem.parent)
        except UserError:
            folder = stem.parent
        name, way = stem.name, f", with its folder in PYTHONPATH (PYTHONPATH={folder})"
    else:
        name, way = ".".join(parts), ""
    if not _MODULE.fullmatch(name):
        return f"{module!r} is not the name of a Python module; rename the file to letters, digits and _"
    return f"{module!r} is the name of a file; write the name of the module: IMPORTS: [{name}]{way}"


def _where(name: str, folders: Sequence[Path]) -> str:
    """Where a module was searched, and where it is or the nearest name, for the end of an error text."""
    here, top = Path.cwd(), name.split(".")[0]
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    listed = f" ({', '.join(entries)})" if entries else ""
    text = f"\n    (searched: {here} and the Python path{listed}; add its folder to PYTHONPATH)"
    near = [folder for start in folders for folder in (start, *start.parents)]
    lies = next((folder for folder in near if folder != here and _holds(folder, top)), None)
    if lies is not None:
        return f"{text}\n    {top} lies in {lies}: run the command there, or set PYTHONPATH={lies}"
    package = sys.modules.get(name.rpartition(".")[0])
    places = [Path(place) for place in getattr(package, "__path__", ())] or [here]
    known = [path.stem for place in places for path in (*place.glob("*.py"), *place.glob("*/__init__.py"))]
    suggestion = closest(name.rpartition(".")[2], known)
    return text if suggestion is None else f"{text}\n    did you mean {suggestion!r}?"


def _holds(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def _stale(module: str) -> str:
    """Why a module that this process has imported is not the one that is meant now; "" if it is."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return ""
    again = "start a new Python process"
    known = _imported.get(module)
    if known is not None and known[0] is loaded and (changed := _changed(known[1], source_digests(module))):
        return f"{module!r}: {changed} changed since this process imported it; {again}"
    top, here = module.split(".")[0], Path.cwd()
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None or not _holds(here, top):
        return ""
    folder = Path(file).parent.parent if Path(file).stem == "__init__" else Path(file).parent
    if str(folder) in _searched and not folder.samefile(here):
        return f"{module!r} was imported from {folder} by this process, and {here} holds another {top}; {again}"
    return ""


def _changed(old: dict[str, str], new: dict[str, str]) -> str:
    return ", ".join(name for name in {**old, **new} if old.get(name) != new.get(name))


def source_digests(name: str) -> dict[str, str]:
    """Digests of the source of an imported module and of the local modules that it imports, by relative file name."""
    found: dict[str, str] = {}
    _collect(name, found, set(), whole_package=True)
    return found


def _collect(name: str, found: dict[str, str], seen: set[str], *, whole_package: bool) -> None:
    seen.add(name)
    base, file = name.replace(".", "/"), _file_of(name)
    if file is not None and file.is_file():
        found[f"{base}/{file.name}" if file.stem == "__init__" else f"{base}{file.suffix}"] = digest(file)
    for place in getattr(sys.modules.get(name), "__path__", ()) if whole_package else ():
        for source in sorted(Path(place).rglob("*.py")):
            found[f"{base}/{source.relative_to(place).as_posix()}"] = digest(source)
    if file is None or file.suffix != ".py":
        return
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    for other in _imports(file, package):
        if other not in seen and _is_local(other):
            _collect(other, found, seen, whole_package=False)


def _file_of(name: str) -> Path | None:
    """The source file of a module, also of one that is not imported yet (an import inside a function)."""
    module = sys.modules.get(name)
    if module is None and "." not in name:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file)


def _imports(file: Path, package: str) -> Iterator[str]:
    """Full names that a source file imports anywhere, parents and possible submodules included."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for full in names:
            parts = full.split(".")
            yield from (".".join(parts[: depth + 1]) for depth in range(len(parts)))


def _is_local(name: str) -> bool:
    """Whether a module is code of the user: neither installed, nor of Python itself, nor of vireid."""
    if name.split(".")[0] == "vireid" or name in sys.builtin_module_names:
        return False
    file = _file_of(name)
    if file is None:
        return False
    paths = sysconfig.get_paths()
    libraries = [os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib") if key in paths]
    real = os.path.realpath(file)
    return not any(real.startswith(library + os.sep) for library in libraries)
