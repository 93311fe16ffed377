import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vireid.config.yaml import dump, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5.0e-4", 0.0005),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("010", 10),
        ("0x10", 16),
        ("+5", 5),
        ("none", "none"),
        ("None", "None"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("'1e-3'", "1e-3"),
        ("<<", "<<"),
        ("{1: 2, true: no}", {"1": 2, "true": "no"}),
        ("[1, 2.0, x]", [1, 2.0, "x"]),
    ],
)
def test_scalars_of_yaml_1_2(text, value):
    parsed = parse(text)
    assert parsed.problems == []
    assert parsed.value == value
    assert type(parsed.value) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A: 1\nB:\n  C: 1\n  C: 2\n", (4, "the key 'B.C' is written twice (first in line 3)")),
        ("A: [1, {B: 2, B: 3}]", (1, "the key 'A.B' is written twice (first in line 1)")),
        ("A: {B: 1", (1, "not valid YAML: expected ',' or '}', but got '<stream end>'")),
        ("A:\n\tB: 1", (2, "not valid YAML: found character '\\t' that cannot start any token")),
        ("A: &x {B: *x}", (1, "not valid YAML: an alias inside what it stands for")),
        (
            "A: 1\n--- \nA: 2",
            (2, "not valid YAML: expected a single document in the stream, but found another document"),
        ),
        (
            "!!python/object/apply:os.system [ls]",
            (1, "not valid YAML: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not read here"),
        ),
        ("!!int word", (1, "not valid YAML: 'word' is not tag:yaml.org,2002:int")),
        ("? [a]\n: 1", (1, "a key must be a word")),
    ],
)
def test_faults_have_a_line(text, problem):
    if text.startswith("!!python"):
        text = text.replace("[ls]", "ls")
    assert parse(text).problems == [problem]


def test_lines_of_nodes_and_leaves():
    assert parse("A: 1\nB:\n  C:\n    D: 2\n").lines == {("A",): 1, ("B",): 2, ("B", "C"): 3, ("B", "C", "D"): 4}


def test_first_of_two_equal_keys_stays():
    assert parse("A: 1\nA: 2").value == {"A": 1}


_LEAVES = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | st.text(max_size=8)
_KEYS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5)
_TREES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3))


@given(_TREES)
def test_what_is_written_is_read_back(tree):
    parsed = parse(dump(tree))
    assert parsed.problems == []
    assert parsed.value == tree


@pytest.mark.parametrize("word", ["1e-3", "yes", "010", "null", "none", "true", "0o7", "", "a: b", "1_000"])
def test_other_readers_see_words_as_words(word):
    assert yaml.safe_load(dump({"A": word})) == {"A": word}
