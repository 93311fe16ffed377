"""What a reader sees: marks, notes, and the three forms of a table."""

from __future__ import annotations

from html import unescape

from vireid.suites.page import html
from vireid.suites.tables import MIXED_NOTE, ORACLE_NOTE, comma_separated, latex, markdown, tables


def test_markdown(mixed):
    text = markdown(tables(mixed), mixed.compared, mixed.failures())
    assert "| base_line | 55.0 ± 7.1 | 27.5 ± 3.5 |" in text
    assert "| ours | **63.0 ± 1.4** | **31.5 ± 0.7** |" in text  # the best that knows no labels
    assert "| cheat | 91.0 ± 1.4 † | 45.5 ± 0.7 † |" in text
    assert "| lost | failed | failed |" in text
    assert ORACLE_NOTE in text
    assert "percent; mean ± sample standard deviation over 2 seeds" in text
    assert "| ours | all | +8.0 [-1.0, +17.0], 0 in it | none | none |" in text
    assert "- lost, seed 0: SAMPLER is wrong" in text


def test_re_ranked_rows_have_a_table_of_their_own(entry, results):
    made = tables(results(entry("a", [0.5]), entry("b", [0.6], way="k-reciprocal")))
    assert [(table.title, list(table.lines)) for table in made] == [
        ("A & B", ["a"]),
        ("A & B, re-ranked: k-reciprocal", ["b"]),
    ]


def test_published_numbers_beside_synthetic_people_say_so(entry, results):
    (table,) = tables(results(entry("a", [0.5], synthetic=True)), {"a": {"all/rank1": 66.75}})
    assert MIXED_NOTE in table.notes
    assert "50.0 (66.8)" in markdown([table])


def test_latex(mixed):
    text = latex(tables(mixed))
    assert r"base\_line & 55.0 $\pm$ 7.1 & 27.5 $\pm$ 3.5 \\" in text
    assert r"ours & \textbf{63.0 $\pm$ 1.4}" in text
    assert r"91.0 $\pm$ 1.4 $^\dagger$" in text
    assert r"\caption{A \& B." in text
    assert text.count(r"\toprule") == 1


def test_comma_separated(mixed):
    lines = comma_separated(mixed).splitlines()
    assert lines[0].startswith("row,dataset,protocol,metric,mean,std,seeds")
    assert "ours,,all,rank1,63.0000,1.4142,0 1,none,none,0," in lines
    assert "lost,,all,rank1,,,,,none,0,0: SAMPLER is wrong" in lines


def test_page_escapes_sorts_and_needs_no_network(mixed):
    text = html(mixed, tables(mixed))
    assert "<h1>A &amp; B</h1>" in text
    assert '<td data-value="63.0000"><b>63.0</b>' in text
    assert "http" not in text.replace("http-equiv", "")
    assert "script-src 'sha256-" in unescape(text)
