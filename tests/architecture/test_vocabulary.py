"""The vocabulary check finds the words that it lists, and nothing in code."""

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("vocabulary_check", Path(__file__).with_name("vocabulary.py"))
assert _spec is not None
vocabulary = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = vocabulary  # dataclasses look up their module there
_spec.loader.exec_module(vocabulary)
Finding, Vocabulary = vocabulary.Finding, vocabulary.Vocabulary

VOCABULARY = Vocabulary({"colour*": "color", "data set*": "dataset", "is no": "is not a"}, ["is no longer"])


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("Colours\n", [Finding(1, "Colours", "color")]),
        ("one\ntwo data\nsets\n", [Finding(2, "data sets", "dataset")]),
        ("It is no file, it is no longer here.\n", [Finding(1, "is no", "is not a")]),
        ("`colour` [x](colour.html) https://colour.org discolour\n", []),
        ("```\ncolour\n```\ncolour\n", [Finding(4, "colour", "color")]),
        ("- item\n\n  ```bash\n  colour\n  ```\n", []),
    ],
)
def test_listed_words_are_found_outside_of_code(page, expected):
    assert vocabulary.findings(vocabulary.prose(page), VOCABULARY) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("colour = 1  # the colour\n", [Finding(1, "colour", "color")]),
        ('"""A colour.\n\n>>> colour\n"""\n', [Finding(1, "colour", "color")]),
        ('x = {"colour": 1}\n', []),
        (
            'raise ValueError(f"x {colour} is no colour")\n',
            [Finding(1, "colour", "color"), Finding(1, "is no", "is not a")],
        ),
        ('"""Set `colour` to a value."""\n', []),
        ('x = ("two "\n     "data sets are one")\n', [Finding(2, "data sets", "dataset")]),
    ],
)
def test_listed_words_are_found_in_comments_docstrings_and_messages(source, expected):
    found = vocabulary.findings(vocabulary.python_prose(source), VOCABULARY)
    assert sorted(found, key=lambda finding: finding.word) == expected


def test_the_list_is_read():
    assert vocabulary.read_vocabulary("# comment\n\na b -> c, d\nallow a b e\n") == Vocabulary(
        {"a b": "c, d"}, ["a b e"]
    )
    assert len(vocabulary.read_vocabulary(vocabulary.WORDS.read_text(encoding="utf-8")).replacements) > 30


def test_a_line_of_another_form_is_an_error():
    with pytest.raises(ValueError, match=r"vocabulary\.txt:2"):
        vocabulary.read_vocabulary("a -> b\nword\n")


def test_the_line_and_the_replacement_are_printed(tmp_path, capsys):
    page = tmp_path / "page.txt"
    page.write_text("fine\n\nThe colour.\n", encoding="utf-8")
    assert vocabulary.main([str(page)]) == 1
    assert f"{page}:3: 'colour'; write: color\n" in capsys.readouterr().out
    page.write_text("The color.\n", encoding="utf-8")
    assert vocabulary.main([str(page)]) == 0
