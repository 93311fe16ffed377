"""tools/attribute_leak.py on synthetic people, from their .mat files and through a config, and what it refuses."""

import json
from math import sqrt
from pathlib import Path

import pytest

CONFIG = str(Path(__file__).parent / "tiny.yml")


@pytest.fixture
def leak(run_tool, capsys):
    """Call the tool: words -> exit code, what it printed, its complaint."""

    def call(*words: object) -> tuple[int, str, str]:
        code = run_tool("attribute_leak", *words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def released(people):
    return ["--attributes", people / "sysu_attribute", "--ids", people / "exp" / "test_id.txt"]


@pytest.mark.parametrize("mode", ["all", "indoor"])
@pytest.mark.parametrize("matcher", ["hamming", "exact", "llr"])
def test_labels_alone_find_people(leak, released, matcher, mode):
    code, printed, complaint = leak(*released, "--mode", mode, "--matcher", matcher, "--tie-breaks", 30)
    assert (code, complaint) == (0, "")
    found = json.loads(printed)
    assert found["orders"] == 30
    assert found["unit"] == "percent"
    assert 100 >= found["rank20"] >= found["rank10"] >= found["rank1"] > 1.2 * found["chance_rank1"]
    assert found["conditions"]["attribute_source"] == "labels"
    assert (found["conditions"]["mode"], found["conditions"]["matcher"]) == (mode, matcher)
    assert set(found) >= {"mAP", "mINP", "spread", "queries"}


def test_a_config_gives_the_same_within_the_noise_of_ties(leak, released, people, tmp_path):
    """Every camera has two images of a person, so both forms weigh people alike; the config asks with twice as many."""
    _, printed, _ = leak(*released, "--tie-breaks", 200)
    data = ["DATA.ROOT", people, "DATA.ATTRIBUTES", people / "sysu_attribute", "EVALUATION.ALL.TRIALS", 2]
    code, by_config, _ = leak("--tie-breaks", 50, "--json", tmp_path / "leak.json", "--config-file", CONFIG, *data)
    assert code == 0
    ours, whole = json.loads(printed), json.loads(by_config)
    assert whole == json.loads((tmp_path / "leak.json").read_text())
    assert list(whole) == ["all", "indoor"]
    assert whole["all"]["queries"] == 2 * ours["queries"]
    assert whole["all"]["orders"] == 2 * 50
    for name in ("rank1", "mAP"):
        noise = ours["spread"][name] * sqrt(1 / 200 + 1 / 100)
        assert whole["all"][name] == pytest.approx(ours[name], abs=4 * noise + 0.01)


def test_everything_that_is_refused(leak, released, people, tmp_path):
    (tmp_path / "ids.txt").write_text("1,9999")
    (tmp_path / "empty.txt").write_text("\n")
    place, ids = released[:2], released[2:]
    missing = tmp_path / "absent"
    config = ["--config-file", CONFIG, "DATA.ROOT", people]
    for words, complaint in [
        ([], "--attributes and --ids missing; give --attributes and --ids, or --config-file"),
        (place, "--ids missing; give --attributes and --ids, or --config-file"),
        (["--attributes", missing, *ids], f"the attributes {missing} do not exist; DATA.ATTRIBUTES is a folder or zip"),
        ([*place, "--ids", missing], f"{missing} is missing; it holds the identities of the split"),
        ([*place, "--ids", tmp_path / "empty.txt"], "is empty; it holds the identities"),
        ([*place, "--ids", tmp_path / "ids.txt"], "has no label in any camera for"),
        ([*released, "--matcher", "haming"], "unknown attribute matcher 'haming'; did you mean 'hamming'?"),
        ([*released, "--mode", "indor"], "mode must be one of ('all', 'indoor'), got 'indor'; did you mean 'indoor'?"),
        ([*released, "--tie-breaks", 0], "tie_breaks must be at least 1 and seed at least 0, got 0 and 0"),
        ([*released, "DATA.ROOT", people], "'DATA.ROOT' is a setting, and settings need --config-file"),
        ([*released, *config], "--attributes and --ids cannot be combined with --config-file"),
        (["--mode", "all", *config], "--mode cannot be combined with --config-file"),
        (config, "test images has attributes: set DATA.ATTRIBUTES"),
    ]:
        code, printed, said = leak(*words)
        assert (code, printed) == (2, ""), words
        assert said.startswith("error: "), words
        assert complaint in said, (words, said)
