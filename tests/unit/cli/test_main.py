"""The `vireid` command: dispatch, help, version, errors, and tools/*.py as wrappers of its commands."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import vireid
from vireid.cli.main import COMMANDS, ENTRY, command_parser, main, module_of

ROOT = Path(__file__).parents[3]
TOOLS = {
    "aggregate_trials": "aggregate",
    "attribute_leak": "leak",
    "benchmark": "suite",
    "check_data": "check-data",
    "convert_checkpoint": "convert",
    "gallery": "gallery",
    "make_synthetic": "synth",
    "model_zoo": "zoo",
    "show_config": "show",
    "train_net": "train",
    "visualize": "visualize",
}


def test_without_arguments_the_commands_are_listed(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: vireid [--version] COMMAND")
    assert all(f"\n  {name} " in text and purpose in text for name, purpose in COMMANDS.items())


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vireid {vireid.__version__}\n"


def test_an_unknown_command_is_an_error_with_the_nearest_one(capsys):
    assert main(["trian", "--config-file", "a.yml"]) == 2
    assert capsys.readouterr().err.startswith("error: vireid: unknown command 'trian'; did you mean 'train'?")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: vireid {name} ")
    assert f"examples:\n  vireid {name}" in text or f'"$(vireid {name}' in text
    assert "type=Path" not in Path(module_of(name).__file__ or "").read_text(encoding="utf-8"), "`~` is not expanded"


def test_every_module_is_a_command():
    modules = {path.stem.replace("_", "-") for path in (ROOT / "vireid" / "cli").glob("*.py")}
    assert modules - {"--init--", "main"} == set(COMMANDS)


def test_help_and_parsers_import_no_heavy_package():
    code = (
        "import sys; from vireid.cli.main import COMMANDS, command_parser, main; main(['--help']);"
        "[command_parser(name).format_help() for name in COMMANDS];"
        "raise SystemExit(bool({'torch', 'numpy', 'yaml', 'PIL', 'timm'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_eval_is_train_with_eval_only():
    words = ["--config-file", "a.yml", "--num-gpus", "2", "WEIGHTS", "b"]
    evaluated, trained = (
        command_parser("eval").parse_args(words),
        command_parser("train").parse_args(["--eval-only", *words]),
    )
    assert vars(evaluated) == vars(trained)


def test_settings_of_a_missing_config_are_refused(capsys):
    assert main(["eval", "--config-file", "missing.yml"]) == 2
    assert "missing.yml" in capsys.readouterr().err


@pytest.mark.parametrize("start", [["-m", "vireid"], [ENTRY]], ids=["module", "path"])
def test_starts_as_a_module_and_by_its_path(start, tmp_path):
    """The modules of the package do not hide modules of the same name, such as a plug-in `config`."""
    result = subprocess.run(
        [sys.executable, *start, "--version"],
        cwd=ROOT if start[0] == "-m" else tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.stdout == f"vireid {vireid.__version__}\n", result.stderr


def test_by_its_path_the_package_folder_is_not_searched(tmp_path):
    code = f"import runpy, sys; sys.argv[1:] = ['--version']; sys.path[0] = {str(ROOT / 'vireid')!r}\n"
    code += f"try:\n    runpy.run_path({ENTRY!r}, run_name='__main__')\nexcept SystemExit: pass\n"
    code += "import importlib.util; raise SystemExit(importlib.util.find_spec('experiment') is not None)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True).returncode == 0


def test_the_layouts_of_synth_are_those_of_the_package():
    from vireid.cli.synth import LAYOUTS
    from vireid.synthetic import LAYOUTS as KNOWN

    assert list(LAYOUTS) == list(KNOWN)


@pytest.mark.parametrize(("tool", "command"), TOOLS.items())
def test_a_tool_is_a_wrapper_of_its_command(tool, command):
    spec = importlib.util.spec_from_file_location(f"wrapper_{tool}", ROOT / "tools" / f"{tool}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    usage = module.parser().format_usage()
    assert usage.startswith(f"usage: tools/{tool}.py ")
    words = "".join(usage.split()).replace(f"tools/{tool}.py", f"vireid{command}")
    assert words == "".join(command_parser(command).format_usage().split())


@pytest.mark.parametrize("words", [[], ["table3", "--suite", "table3"]])
def test_a_suite_is_named_once(words, capsys):
    assert main(["suite", *words, "--dry-run"]) == 2
    assert "pass one suite: SUITE or --suite SUITE" in capsys.readouterr().err
