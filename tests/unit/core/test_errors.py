from __future__ import annotations

import pytest

from vireid.core.errors import CheckpointError, ConfigError, DataError, Problem, UserError, guarded, nearest


@pytest.mark.parametrize(
    ("known", "word", "expected"),
    [
        (["MARGIN", "WEIGHT"], "MARGN", "; did you mean 'MARGIN'?"),
        (["features"], "FEATURE", "; did you mean 'features'?"),
        (["MARGIN"], "colour", ""),
        ([], "x", ""),
    ],
)
def test_nearest(known, word, expected):
    assert nearest(word, known) == expected


@pytest.mark.parametrize("kind", [DataError, CheckpointError, lambda text: ConfigError([text])])
def test_a_mistake_of_the_user_is_text_and_exit_code_2(kind, capsys):
    @guarded
    def main(argv=None):
        raise kind("a.yml: SED is not a setting")

    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: a.yml: SED is not a setting\n"
    assert captured.out == ""


def test_every_problem_of_a_config_is_shown():
    error = ConfigError(["one", "two"])
    assert error.problems == (Problem("one"), Problem("two"))
    assert str(error) == "one\ntwo"
    assert isinstance(error, UserError)


def test_our_own_faults_keep_their_traceback():
    @guarded
    def main(argv=None):
        raise AssertionError("internal")

    with pytest.raises(AssertionError, match="internal"):
        main([])


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (SystemExit(2), 2), (SystemExit("text"), 1)])
def test_stops_become_exit_codes(raised, code):
    @guarded
    def main(argv=None):
        raise raised

    assert main([]) == code


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_what_a_tool_returns_is_its_exit_code(returned, code):
    assert guarded(lambda argv=None: returned)([]) == code


def test_the_tools_own_name_and_text_stay():
    @guarded
    def main(argv=None):
        """Trains."""

    assert (main.__name__, main.__doc__) == ("main", "Trains.")
