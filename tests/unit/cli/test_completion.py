"""`vireid completion`: the printed script is valid and completes commands, options and choices."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from vireid.cli.completion import script
from vireid.cli.main import COMMANDS, main


def complete(*words: str) -> list[str]:
    """Completions that bash offers for the last of the words."""
    line = " ".join(map(shlex.quote, words))
    code = (
        f"{script()}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _vireid; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    result = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_parses(shell, capsys):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert ("bashcompinit" in text) == (shell == "zsh")
    checker = shell if shutil.which(shell) else "bash"
    result = subprocess.run([checker, "-n"], input=text, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["vireid", ""], [*COMMANDS, "--help", "--version"]),
        (["vireid", "tr"], ["train"]),
        (["vireid", "train", "--re"], ["--resume"]),
        (["vireid", "train", "--config-file", ""], []),  # file names, by the shell
        (["vireid", "synth", "--layout", ""], ["sysu", "regdb", "llcm"]),
        (["vireid", "list", "lo"], ["losses"]),
        (["vireid", "visualize", "ts"], ["tsne"]),
        (["vireid", "gallery", "bu"], ["build"]),
        (["vireid", "gallery", "search", "g", "--to"], ["--top"]),
        (["vireid", "gallery", "build", "g", "--to"], []),
        (["vireid", "unknown", "--"], []),
    ],
)
def test_completions(words, expected):
    assert complete(*words) == expected
