"""The setting DATA.DEPTH: checked with the config, resolved, kept by a run, and given to everything that decodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.config import Build, check_config, load_config
from vireid.config import show as explain
from vireid.config.check import problems_of
from vireid.core.errors import ConfigError
from vireid.data.images.depth import DepthMapping

MMD = Path(__file__).parents[3] / "configs" / "sysu" / "mmd.yml"
TINY = ["MODEL.BACKBONE.ARCH", "resnet10t", "MODEL.BACKBONE.PRETRAINED", "false"]


def config(*overrides: str):
    return load_config(MMD, [*TINY, *overrides])


def test_it_is_none_unless_given() -> None:
    assert Build(check_config(config())).depth() is None
    assert "DEPTH" not in explain.resolved_text(check_config(config()))


@pytest.mark.parametrize("text", ["{percentiles: [1, 99]}", "{PERCENTILES: [1, 99.0]}"])
def test_it_is_given_whole(text: str) -> None:
    given = config("DATA.DEPTH", text)
    assert problems_of(given) == []
    assert Build(check_config(given)).depth() == DepthMapping(percentiles=(1, 99))
    assert check_config(given).info.num_ids == 395


def test_a_resolved_config_has_it(tmp_path: Path) -> None:
    given = config("DATA.DEPTH", "{range: [0, 16383]}")
    (tmp_path / "config.yml").write_text(explain.resolved_text(check_config(given)))
    again = load_config(tmp_path / "config.yml")
    assert Build(check_config(again)).depth() == DepthMapping(range=(0, 16383))
    assert explain.differences(explain.resolved_text(check_config(given)), check_config(again)) == []


def test_a_run_is_not_continued_with_another_one() -> None:
    old = explain.resolved_text(check_config(config()))
    assert explain.differences(old, check_config(config("DATA.DEPTH", "{percentiles: [1, 99]}"))) == [
        "DATA.DEPTH was nothing, is {percentiles: [1.0, 99.0]}"
    ]


def test_a_later_value_replaces_it() -> None:
    given = config("DATA.DEPTH", "{range: [0, 9]}", "DATA.DEPTH", "{percentiles: [1, 99]}")
    assert Build(check_config(given)).depth() == DepthMapping(percentiles=(1, 99))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "{percentile: [1, 99]}",
            "has no option 'percentile'; did you mean 'percentiles'?",
        ),
        ("{percentiles: [99, 1]}", "needs two finite numbers, the smaller one first, got 99 and 1"),
        ("{percentiles: [1, 99], range: [0, 9]}", "needs exactly one of percentiles"),
        ("{percentiles: [1]}", "is not a map of lists of 2 numbers"),
        ("16", "is not a map of lists of 2 numbers or null"),
        ("true", "is not a map of lists of 2 numbers or null"),
    ],
)
def test_wrong_values_are_reported_with_the_config(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(MMD, [*TINY, "DATA.DEPTH", text])
    (problem,) = caught.value.problems
    assert (problem.place, problem.key) == ("command line", "DATA.DEPTH")
    assert fault in str(problem)


def test_misspelt_keys_have_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        config("DATA.DEPHT", "{percentiles: [1, 99]}")
    (problem,) = caught.value.problems
    assert problem.suggestion == "DEPTH"
