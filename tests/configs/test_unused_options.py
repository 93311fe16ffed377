"""Options that a tool accepts and would ignore in the chosen mode are refused before any work."""

from __future__ import annotations

import pytest

SUITE = ["--suite", "absent.yml", "--out", "absent"]


@pytest.mark.parametrize(
    ("tool", "words", "text"),
    [
        ("train_net", ["--config-file", "a.yml", "--eval-only", "--resume"], "--resume has no effect with --eval-only"),
        ("benchmark", [*SUITE, "--dry-run", "--jobs", 2], "--jobs has no effect with --dry-run; leave it out"),
        ("benchmark", [*SUITE, "--emit-jobs", "--check"], "--check has no effect with --emit-jobs; leave it out"),
        (
            "benchmark",
            [*SUITE, "--dry-run", "--copy", "c", "--jobs", 3],
            "--jobs, --copy have no effect with --dry-run",
        ),
        ("benchmark", [*SUITE, "--collect", "a", "--jobs", 2], "--jobs has no effect with --collect; leave it out"),
        ("visualize", ["--run", "absent", "--out", "b"], "--out has no effect for report; leave it out"),
        ("visualize", ["cmc", "--run", "absent", "--seed", 1], "--seed has no effect for cmc; leave it out"),
        (
            "visualize",
            ["tsne", "--run", "a", "--queries", 3, "--compare", "b"],
            "--queries, --compare have no effect for",
        ),
        ("visualize", ["ranklist", "--run", "a", "--people", 3], "--people has no effect for ranklist; leave it out"),
    ],
)
def test_an_option_without_effect_is_refused(call_tool, capsys, tool, words, text):
    assert call_tool(tool, *words) == 2
    assert capsys.readouterr().err.startswith(f"error: {text}")


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("train_net", ["--config-file", "absent.yml", "--eval-only"]),
        ("benchmark", [*SUITE, "--dry-run"]),
        ("visualize", ["tsne", "--run", "absent", "--seed", 1, "--people", 3]),
        ("visualize", ["ranklist", "--run", "absent", "--queries", 3, "--protocol", "all"]),
    ],
)
def test_an_option_with_effect_is_not(call_tool, capsys, tool, words):
    assert call_tool(tool, *words) == 2, "the file does not exist"
    assert "no effect" not in capsys.readouterr().err
