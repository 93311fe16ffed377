"""Broken configs and the whole text that a user gets: exit code 2, no traceback, nothing read."""

from pathlib import Path

import pytest

MMD = """
_BASE_: {configs}/sysu/mmd.yml
MODEL: {{BACKBONE: {{ARCH: resnet10t, PRETRAINED: false}}}}
"""


@pytest.fixture
def complaint(tmp_path, monkeypatch, configs, show_config):
    """Text of a file (its base and a tiny backbone come before it) and overrides -> what the tool complains."""
    from vireid.data.datasets import sysu

    def read(*arguments):
        raise AssertionError("the data set was read")

    monkeypatch.setattr(sysu.SysuMM01, "_scan", read)

    def ask(text: str, *overrides: str, alone: bool = False) -> str:
        path = tmp_path / "x.yml"
        path.write_text(text if alone else MMD.format(configs=configs) + _without_model(text), encoding="utf-8")
        code, printed, error = show_config("--config-file", path, *overrides)
        assert code == 2
        assert printed == ""
        assert "Traceback" not in error
        return error

    return ask


def _without_model(text: str) -> str:
    assert "\nMODEL" not in f"\n{text}", "the tiny backbone stands there already; use overrides"
    return text


def losses() -> str:
    from vireid.core.registries import LOSSES

    return ", ".join(LOSSES.names())


def test_typo_of_an_argument(complaint):
    assert complaint("OBJECTIVE: {TRIPLET: {MARGN: 0.5}}") == (
        "error: x.yml: OBJECTIVE.TRIPLET.MARGN is not an argument of HeteroCenterTriplet; did you mean 'MARGIN'?"
        " (takes: MARGIN)\n"
    )


def test_typo_of_a_name(complaint):
    assert complaint("OBJECTIVE: {TRIPLET: {NAME: HeteroCentreTriplet}}") == (
        "error: x.yml: OBJECTIVE.TRIPLET.NAME: no loss is named 'HeteroCentreTriplet';"
        f" did you mean 'HeteroCenterTriplet'? Known: {losses()}\n"
    )


def test_typo_of_a_setting(complaint):
    assert complaint("SED: 3") == "error: x.yml: SED is not a setting; did you mean 'SEED'?\n"


def test_typo_of_an_entry(complaint):
    assert complaint("OBJECTIVE: {TRIPLT: {MARGIN: 0.5}}") == (
        "error: x.yml: OBJECTIVE.TRIPLT has no NAME; did you mean 'TRIPLET'? (keys: MARGIN)\n"
    )


def test_wrong_type(complaint):
    assert complaint("SOLVER: {EPOCHS: many, NESTEROV: yes, LR: true}") == (
        "error: x.yml: SOLVER.LR = true is not a number\n"
        "x.yml: SOLVER.NESTEROV = 'yes' is not true or false\n"
        "x.yml: SOLVER.EPOCHS = 'many' is not an integer\n"
    )


def test_value_that_the_constructor_refuses(complaint):
    assert complaint("OBJECTIVE: {TRIPLET: {MARGIN: -1}}") == (
        "error: x.yml: OBJECTIVE.TRIPLET (HeteroCenterTriplet): margin must be at least 0, got -1.0\n"
    )


def test_value_that_is_none_of_the_allowed(complaint):
    assert complaint("EVALUATION: {ALL: {MODE: indor}}") == (
        "error: x.yml: EVALUATION.ALL.MODE = 'indor' is not one of ('all', 'indoor'); did you mean 'indoor'?\n"
    )


def test_fact_of_the_data(complaint):
    assert complaint("OBJECTIVE: {ID: {NUM_IDS: 395}}") == (
        "error: x.yml: OBJECTIVE.ID.NUM_IDS is a fact of the data (395 here); remove it\n"
    )


def test_missing_provider(complaint):
    assert complaint("OBJECTIVE: {ID: {USES: {logits: logits_att}}}") == (
        "error: x.yml: OBJECTIVE.ID (IdentityCrossEntropy) needs 'logits_att', which nothing before it provides;"
        " did you mean 'logits'?\n"
        "    (provided: cameras, feature_map, features, features_bn, index, labels, logits, modality, pooled,"
        " pooled_image, view)\n"
    )


def test_head_that_is_none_leaves_its_readers_without_a_provider(complaint):
    provided = "cameras, feature_map, index, labels, modality, pooled, pooled_image, view"
    assert complaint("SEED: 1", "MODEL.HEADS.ID.NAME", "none") == (
        "error: _shared.yml: MODEL.EMBEDDING: nothing provides 'features_bn'; did you mean 'feature_map'?\n"
        "    (provided: feature_map, pooled, pooled_image)\n"
        "_shared.yml: OBJECTIVE.ID (IdentityCrossEntropy) needs 'logits', which nothing before it provides\n"
        f"    (provided: {provided})\n"
        "methods/mmd.yml: OBJECTIVE.TRIPLET (HeteroCenterTriplet) needs 'features', which nothing before it provides;"
        " did you mean 'feature_map'?\n"
        f"    (provided: {provided})\n"
        "methods/mmd.yml: OBJECTIVE.MMD (MarginMMD) needs 'features', which nothing before it provides;"
        " did you mean 'feature_map'?\n"
        f"    (provided: {provided})\n"
    )


def test_attributes_of_a_data_set_that_has_none(configs, show_config):
    """PAE and AAL without a table of attributes: each part says what it lacks, and how to give it."""
    code, printed, error = show_config("--config-file", configs / "sysu/mmd_pae_aal.yml", "DATA.ATTRIBUTES", "none")
    assert (code, printed) == (2, "")
    lacking = " needs num_attributes, and this dataset has none; name a table of them with DATA.ATTRIBUTES\n"
    assert error == (
        f"error: attributes_predicted.yml: MODEL.ATTRIBUTES (AttributeSource){lacking}"
        f"pae.yml: MODEL.ADAPTER.STAGES.EMB1 (CrossAttentionStage){lacking}"
        f"aal.yml: MODEL.HEADS.ATTRIBUTES (AttributeHead){lacking}"
    )


def test_lr_scale_of_a_module_that_is_not_there(complaint):
    assert complaint("SOLVER: {LR_SCALE: {bakbone: 0.1}}") == (
        "error: x.yml: SOLVER.LR_SCALE: no trainable parameter lies under 'bakbone'; did you mean 'backbone'?"
        " (top level: backbone, heads)\n"
    )


def test_duplicate_key_and_what_is_wrong_besides(complaint):
    assert complaint("SEED: 1\nSED: 2\nSEED: 3\n") == (
        "error: x.yml:6: the key 'SEED' is written twice (first in line 4)\n"
        "x.yml: SED is not a setting; did you mean 'SEED'?\n"
    )


def test_missing_base(complaint, configs):
    assert complaint(f"_BASE_: {configs}/sysu/mdm.yml", alone=True) == (
        f"error: x.yml: _BASE_: {configs}/sysu/mdm.yml does not exist; did you mean 'mmd.yml'?\n"
    )


def test_circular_base(complaint):
    assert complaint("_BASE_: x.yml", alone=True) == "error: x.yml: _BASE_ runs in a circle: x.yml -> x.yml\n"


def test_missing_file(show_config, tmp_path):
    code, printed, error = show_config("--config-file", tmp_path / "y.yml")
    assert (code, printed, error) == (2, "", f"error: {tmp_path / 'y.yml'} does not exist\n")


def test_overrides(complaint):
    assert complaint("SEED: 1", "OBJECTIVE.TRIPLET.MARGN", "0.5", "SOLVER.LR=3") == (
        "error: command line: overrides are KEY VALUE pairs, and 'SOLVER.LR=3' stands alone (write: SOLVER.LR 3)\n"
        "command line: OBJECTIVE.TRIPLET.MARGN is not an argument of HeteroCenterTriplet; did you mean 'MARGIN'?"
        " (takes: MARGIN)\n"
    )


def test_module_that_cannot_be_imported(complaint, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert complaint("IMPORTS: [no_such_project.losses]\nSED: 1\n") == (
        "error: x.yml: IMPORTS: 'no_such_project.losses' cannot be imported:"
        " ModuleNotFoundError: No module named 'no_such_project'\n"
        f"    (searched: {Path.cwd()} and the Python path; add its folder to PYTHONPATH)\n"
        "x.yml: SED is not a setting; did you mean 'SEED'?\n"
    )


def test_empty_file(complaint):
    error = complaint("", alone=True)
    missing = [line.split(": ", 1)[1].split(" is missing")[0] for line in error.removeprefix("error: ").splitlines()]
    assert missing == ["DATA", "SAMPLER", "MODEL.BACKBONE", "MODEL.POOL", "OBJECTIVE", "SOLVER", "EVALUATION"]


def test_section_with_a_typo_is_not_reported_as_missing_too(complaint):
    assert "MODLE is not a setting; did you mean 'MODEL'?" in complaint("MODLE: {}\nSEED: 1\n", alone=True)
    assert "MODEL.BACKBONE is missing" not in complaint("MODLE: {}\nSEED: 1\n", alone=True)


def test_section_that_is_no_map(complaint):
    error = complaint("MODEL:\nOBJECTIVE: [1]\nSOLVER: SGD\nSAMPLER: {NAME: none}\n", alone=True)
    assert "x.yml: MODEL = null is not a map of settings\n" in error
    assert "x.yml: OBJECTIVE = [1] is not a map of loss entries\n" in error
    assert "x.yml: SOLVER = 'SGD' is not a component; its class goes into SOLVER.NAME\n" in error
    assert "x.yml: SAMPLER.NAME = 'none', but a sampler is needed\n" in error


def test_many_faults_in_one_report(complaint):
    text = """
SEED: -1
SIZE: [288]
SAMPLER: {SEED: 4, IDENTITIES: 0.5}
OBJECTIVE:
  ID: {SMOOTHING: 2}
  TRIPLET: {NAME: none, MARGIN: 0.3}
  MMD: {MODE: hing, USES: {features: pooled}}
  Extra: {NAME: MMD}
SOLVER: {SCHEDULE: {WARMUP: 30}, EPOCHS: 0, MOMENTU: 0.9}
SIMILARITY: {NAME: Similarty}
"""
    assert complaint(text, "MODEL.POOL.P", "-3", "MODEL.BACKBONE.ARCH", "resnet10") == (
        "error: x.yml: SEED = -1 is below 0\n"
        "x.yml: SIZE = [288] is not a list of 2 integers\n"
        "x.yml: SAMPLER.IDENTITIES = 0.5 is not an integer\n"
        "x.yml: SAMPLER.SEED is filled in at run time; remove it\n"
        "x.yml: OBJECTIVE.TRIPLET.MARGIN is an argument of nothing: OBJECTIVE.TRIPLET.NAME is none\n"
        "x.yml: OBJECTIVE.MMD.MODE = 'hing' is not one of ('threshold', 'hinge'); did you mean 'hinge'?\n"
        "x.yml: OBJECTIVE.Extra is not a name of an entry (capital letters, digits, _); write EXTRA\n"
        "x.yml: SOLVER.EPOCHS = 0 is below 1\n"
        "x.yml: SOLVER.MOMENTU is not an argument of SGD; did you mean 'MOMENTUM'?"
        " (takes: LR, MOMENTUM, NESTEROV, WEIGHT_DECAY)\n"
        "x.yml: SIMILARITY.NAME: no similarity is named 'Similarty'; did you mean 'Similarity'? Known: Similarity\n"
        "command line: MODEL.BACKBONE (TwoStreamBackbone): arch 'resnet10' is not a timm model;"
        " did you mean 'resnet10t'?\n"
        "command line: MODEL.POOL (GeM): p must be above 0, got -3.0\n"
        "x.yml: OBJECTIVE.ID (IdentityCrossEntropy): smoothing must be in [0, 1), got 2.0\n"
    )


def test_a_size_of_one_number_is_reported(complaint):
    assert complaint("SIZE: 288") == "error: x.yml: SIZE = 288 is not a list of 2 integers\n"
