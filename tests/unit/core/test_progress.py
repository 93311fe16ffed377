from __future__ import annotations

import io

import pytest

from vireid.core import progress as module
from vireid.core.progress import progress, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_file_gets_a_line_now_and_then(monkeypatch, capsys):
    clock = iter([0.0, 4.0, 11.0, 12.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress_bar(300, "decoding images") as advance:
        for _ in range(3):
            advance(100)
    assert capsys.readouterr().err == "decoding images: 200 of 300, about 6 s left\n"


def test_a_short_loop_writes_nothing_into_a_log_file():
    stream = io.StringIO()
    assert list(progress(range(5), total=5, label="epoch 1", stream=stream)) == [0, 1, 2, 3, 4]
    assert stream.getvalue() == ""


@pytest.mark.parametrize("show", [True, False])
def test_a_terminal_gets_a_bar_unless_it_is_hidden(show):
    stream = Terminal()
    with progress_bar(2, "decoding images", stream=stream, show=show) as advance:
        advance(2)
    assert ("decoding images" in stream.getvalue()) == show
