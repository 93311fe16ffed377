"""IMPORTS: names of files, where modules are looked for, code that is stale, digests of source files."""

from __future__ import annotations

import sys

import pytest

from vireid.config.imports import import_modules, plugin_digests
from vireid.config.load import make_config, read_config
from vireid.core.io import digest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory; modules and the import path are put back afterwards."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        del sys.modules[name]


def problems(*modules):
    return [str(problem) for problem in import_modules(make_config({"IMPORTS": list(modules)}))]


@pytest.mark.parametrize(
    ("written", "module"),
    [
        ("single_plugin.py", "single_plugin"),
        ("./single_plugin.py", "single_plugin"),
        ("my/losses.py", "my.losses"),
        ("my\\losses.py", "my.losses"),
        ("my/losses", "my.losses"),
    ],
)
def test_the_name_of_a_file_is_answered_with_that_of_the_module(here, written, module):
    (here / "single_plugin.py").write_text("raise SystemExit('it was run')\n")
    assert problems(written) == [
        f"config: IMPORTS: {written!r} is the name of a file; write the name of the module: IMPORTS: [{module}]"
    ]


@pytest.mark.parametrize("written", ["/data/parts/losses.py", "~/parts/losses.py", "../parts/losses.py"])
def test_a_file_elsewhere_needs_its_folder_in_pythonpath(here, monkeypatch, written):
    monkeypatch.setenv("HOME", "/data")
    (problem,) = problems(written)
    assert "write the name of the module: IMPORTS: [losses], with its folder in PYTHONPATH (PYTHONPATH=/" in problem
    assert problem.endswith("/parts)")


def test_a_file_that_cannot_be_a_module(here):
    assert problems("my-losses.py") == [
        "config: IMPORTS: 'my-losses.py' is not the name of a Python module; rename the file to letters, digits and _"
    ]


def test_a_missing_module_names_the_nearest_and_where_it_lies(here, monkeypatch):
    (here / "my_losses.py").write_text("")
    (problem,) = problems("my_loses")
    assert problem.endswith(
        f"(searched: {here} and the Python path; add its folder to PYTHONPATH)\n    did you mean 'my_losses'?"
    )
    monkeypatch.setenv("PYTHONPATH", "/one:/two")
    assert "the Python path (/one, /two); add its folder" in problems("nothing_like_it")[0]
    project = here.parent / "project"
    (project / "configs").mkdir(parents=True)
    (project / "far_plugin.py").write_text("")
    (project / "configs" / "x.yml").write_text("IMPORTS: [far_plugin]\n")
    config, _ = read_config(project / "configs" / "x.yml")
    assert (
        f"far_plugin lies in {project}: run the command there, or set PYTHONPATH={project}"
        in import_modules(config)[0].text
    )


def test_code_that_changed_in_a_long_lived_process(here):
    file = here / "stale_plugin.py"
    file.write_text("VALUE = 1\n")
    begun = make_config({"IMPORTS": ["stale_plugin"]})
    assert import_modules(begun) == []
    file.write_text("VALUE = 2\n")
    assert problems("stale_plugin") == [
        "config: IMPORTS: 'stale_plugin': stale_plugin.py changed since this process imported it;"
        " start a new Python process"
    ]
    assert plugin_digests(begun) != {"stale_plugin.py": digest(file)}


def test_another_module_of_the_same_name_in_the_new_current_directory(here, tmp_path, monkeypatch):
    (here / "twin_plugin.py").write_text("VALUE = 1\n")
    assert problems("twin_plugin") == []
    other = tmp_path / "other"
    other.mkdir()
    (other / "twin_plugin.py").write_text("VALUE = 2\n")
    monkeypatch.chdir(other)
    assert problems("twin_plugin") == [
        f"config: IMPORTS: 'twin_plugin' was imported from {here} by this process, and {other} holds another"
        " twin_plugin; start a new Python process"
    ]


def test_digests_cover_packages_and_local_imports(here):
    package = here / "kit_of_test"
    (package / "inner").mkdir(parents=True)
    for name, text in {
        "kit_of_test/__init__.py": "from . import losses\n",
        "kit_of_test/losses.py": "import json\nimport torch\nimport helper_of_test\nfrom vireid.core import types\n",
        "kit_of_test/inner/not_imported.py": "",
        "helper_of_test.py": "def late():\n    from second_of_test import thing\n",
        "second_of_test.py": "thing = 1\n",
        "unrelated_of_test.py": "",
    }.items():
        (here / name).write_text(text)
    config = make_config({"IMPORTS": ["kit_of_test"]})
    assert import_modules(config) == []
    found = plugin_digests(config)
    assert list(found) == [
        "helper_of_test.py",
        "kit_of_test/__init__.py",
        "kit_of_test/inner/not_imported.py",
        "kit_of_test/losses.py",
        "second_of_test.py",
    ]
    assert found["second_of_test.py"] == digest(here / "second_of_test.py")


def test_a_submodule_counts_with_its_package_and_siblings_that_it_imports(here):
    (here / "pack_of_test").mkdir()
    (here / "pack_of_test" / "__init__.py").write_text("")
    (here / "pack_of_test" / "losses.py").write_text("from .util import x\n")
    (here / "pack_of_test" / "util.py").write_text("x = 1\n")
    (here / "pack_of_test" / "other.py").write_text("")
    config = make_config({"IMPORTS": ["pack_of_test.losses"]})
    assert import_modules(config) == []
    assert set(plugin_digests(config)) >= {"pack_of_test/losses.py", "pack_of_test/util.py"}
    assert "pack_of_test/other.py" not in plugin_digests(config)
