"""A reader that closes its end of a pipe (`| head -1`) ends a tool without a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from vireid.core.errors import PIPE_CLOSED, guarded

ROOT = Path(__file__).parents[3]
TOOLS = sorted((ROOT / "tools").glob("*.py"))
# Buffered, as in a terminal's pipe: with PYTHONUNBUFFERED, argparse swallows the error of --help and exits with 0.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
ENVIRONMENT["PYTHONPATH"] = str(ROOT)
PRINTS = """
import sys
from vireid.core.errors import UserError, guarded

@guarded
def main(argv=None):
    {body}

raise SystemExit(main())
"""


def start(words: list[str], *, closed: str) -> tuple[int, str]:
    """Run a command whose stdout (or stdout and stderr) nobody reads; returns exit code and what it wrote to stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        stderr = writer if closed == "both" else subprocess.PIPE
        process = subprocess.run(words, stdout=writer, stderr=stderr, env=ENVIRONMENT, cwd=ROOT, timeout=120)
    finally:
        os.close(writer)
    return process.returncode, (process.stderr or b"").decode()


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.stem)
def test_every_tool_ends_quietly(tool):
    assert start([sys.executable, str(tool), "--help"], closed="stdout") == (PIPE_CLOSED, "")


@pytest.mark.parametrize(
    "body",
    [
        "print('short: still buffered when main returns')",
        "[print('line', number) for number in range(100_000)]",
        "print('before'); raise UserError('a fault whose text nobody reads')",
        "print('error', file=sys.stderr)",
        "sys.exit('a text')",
    ],
)
def test_at_exit_in_the_middle_and_in_an_error(body):
    words = [sys.executable, "-c", PRINTS.format(body=body)]
    assert start(words, closed="both") == (PIPE_CLOSED, "")


def test_head_shows_its_line():
    code = PRINTS.format(body="[print('line', number) for number in range(100_000)]")
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} | head -1; echo ${{PIPESTATUS[0]}}"
    shell = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert (shell.stdout, shell.stderr) == (f"line 0\n{PIPE_CLOSED}\n", "")


def test_the_broken_pipe_of_something_else_is_raised():
    reader, writer = os.pipe()
    os.close(reader)

    @guarded
    def main(argv=None):
        os.write(writer, b"to a worker process that has ended")

    with pytest.raises(BrokenPipeError):
        main([])
    os.close(writer)


def test_a_text_given_to_exit_is_printed(capsys):
    @guarded
    def main(argv=None):
        sys.exit("--batch must be a multiple of 8")

    assert main([]) == 1
    assert capsys.readouterr().err == "--batch must be a multiple of 8\n"
