"""A plug-in is a file that mentions only its own slots: joined to any method, it changes nothing else."""

import re
from pathlib import Path

import pytest
from snapshot import CONFIGS, tree_of

from vireid.config import Build, load_checked
from vireid.config.load import read_unchecked
from vireid.config.show import resolved_tree, rows
from vireid.core.errors import ConfigError

TINY = {"MODEL.BACKBONE.ARCH": "test_resnet"}
ALL_METHODS = sorted(
    path.stem for path in (CONFIGS / "methods").glob("[!_]*.yml") if (CONFIGS / "sysu" / path.name).exists()
)
METHODS = [  # methods with pseudo labels hide identities and attributes, which these plug-ins need
    name for name in ALL_METHODS if read_unchecked(CONFIGS / "sysu" / f"{name}.yml").value(("LABELS",)) is None
]

CODE = '''
from torch import Tensor, nn

from vireid.core.registries import HEADS, LOSSES


@HEADS.register
class NarrowHead(nn.Module):
    """A guess, from whatever it is bound to: a field that no method by itself provides."""

    provides = frozenset({"attribute_prior_logits"})

    def __init__(self, *, feature_dim: int, width: int = 8) -> None:
        super().__init__()
        self.dims = {"attribute_prior_logits": width}
        self.layer = nn.Linear(feature_dim, width)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {"attribute_prior_logits": self.layer(features)}


@LOSSES.register
class FeatureNorm(nn.Module):
    """Mean squared length; owns a scale as wide as what it reads."""

    def __init__(self, *, feature_dim: int, num_ids: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(__import__("torch").ones(feature_dim))

    def forward(self, features: Tensor) -> Tensor:
        return (features * self.scale).square().sum(dim=1).mean()
'''

PLUGIN = """
IMPORTS: [plugin_of_a_test]
MODEL:
  HEADS:
    NARROW: {NAME: NarrowHead, USES: {features: pooled}}
OBJECTIVE:
  NORM: {NAME: FeatureNorm, WEIGHT: 0.01, USES: {features: attribute_prior_logits}}
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """A folder with one Python file and one YAML file, as a project outside of the repository has them."""
    from vireid.core.registries import HEADS, LOSSES

    folder = tmp_path_factory.mktemp("project")
    (folder / "plugin_of_a_test.py").write_text(CODE)
    (folder / "plugin.yml").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # that is what makes the module importable
        patch.setattr("sys.path", [*__import__("sys").path])
        yield folder
    for registry, name in ((HEADS, "NarrowHead"), (LOSSES, "FeatureNorm")):
        registry._entries.pop(name, None)
    __import__("sys").modules.pop("plugin_of_a_test", None)


def joined(folder: Path, method: str) -> Path:
    path = folder / f"{method}_plugin.yml"
    path.write_text(f"_BASE_: [{CONFIGS}/sysu/{method}.yml, plugin.yml]\n")
    return path


def test_the_first_methods_are_included():
    assert {"baseline", "agw", "hct", "mmd"} <= set(METHODS)
    assert set(ALL_METHODS) - set(METHODS) == {"adca", "adca_stage1", "pgm", "pgm_stage1"}


def test_attributes_of_persons_do_not_join_a_method_without_labels(tmp_path):
    path = tmp_path / "joined.yml"
    path.write_text(f"_BASE_: [{CONFIGS}/sysu/adca.yml, {CONFIGS}/plugins/attributes_predicted.yml]\n")
    with pytest.raises(ConfigError, match="needs attributes of persons, which LABELS = DBSCANPseudoLabels hides"):
        load_checked(path, TINY)


@pytest.mark.parametrize("method", METHODS)
def test_a_plugin_joins_any_method_and_touches_only_its_slots(plugin, method, facts, tiny_network):
    tiny = tiny_network(CONFIGS / "sysu" / f"{method}.yml")
    checked = load_checked(joined(plugin, method), tiny)
    tree, alone = resolved_tree(checked), tree_of(f"sysu/{method}", tiny)
    norm = tree["OBJECTIVE"].pop("NORM")
    assert norm == {"NAME": "FeatureNorm", "WEIGHT": 0.01, "USES": {"features": "attribute_prior_logits"}}
    assert tree["MODEL"]["HEADS"].pop("NARROW")["WIDTH"] == 8
    assert tree.pop("IMPORTS") == ["plugin_of_a_test"]
    assert alone.pop("IMPORTS") == []
    assert tree == alone

    build = Build(checked, facts)
    model = build.model(weights=False)
    assert model.heads["narrow"].layer.in_features == model.dims["pooled"]
    assert build.objective(model).norm.scale.shape == (8,), "as wide as the field it is bound to"


def test_the_table_shows_providers(plugin):
    table = {row.slot: row for row in rows(load_checked(joined(plugin, "mmd"), TINY))}
    assert table["MODEL.HEADS.NARROW"].needs == "features = pooled <- MODEL.POOL"
    assert table["MODEL.HEADS.NARROW"].provides == "attribute_prior_logits"
    assert table["OBJECTIVE.NORM"].needs == "features = attribute_prior_logits <- MODEL.HEADS.NARROW"
    assert table["OBJECTIVE.NORM"].source == "plugin.yml"


def test_plugins_that_are_shipped_touch_no_method():
    for path in (CONFIGS / "plugins").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert not set(re.findall(r"\w+", text)) & set(METHODS), f"{path.name} names a method"


JOINED = {
    "pae": ["pae", "attributes_predicted"],
    "pae and aal": ["pae", "aal", "attributes_predicted"],
    "aal": ["aal"],
    "labels": ["pae", "attributes_from_labels"],
    "prior": ["pae", "attributes_prior"],
    "released": ["pae_released", "attributes_from_labels"],
}
PLUGIN_KEYS = {
    "MODEL": {"ADAPTER", "ATTRIBUTES"},
    "HEADS": {"ATTRIBUTES"},
    "OBJECTIVE": {"ATTRIBUTES", "ATTRIBUTE_PRIOR"},
}


def without_plugin_keys(tree):
    """A resolved config without the slots and entries of the attribute plug-ins."""
    for section, keys in zip((tree["MODEL"], tree["MODEL"]["HEADS"], tree["OBJECTIVE"]), PLUGIN_KEYS.values()):
        for key in keys:
            section.pop(key, None)
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("plugins", JOINED.values(), ids=JOINED)
@pytest.mark.parametrize("method", [method for method in METHODS if method != "attr"])
def test_attributes_join_any_method_and_touch_only_their_slots(tmp_path, method, plugins, tiny_network):
    bases = [f"{CONFIGS}/sysu/{method}.yml", *(f"{CONFIGS}/plugins/{name}.yml" for name in plugins)]
    (tmp_path / "x.yml").write_text(f"_BASE_: [{', '.join(bases)}]\nDATA: {{ATTRIBUTES: table.csv}}\n")
    without_pae = {"MODEL.HEADS.ATTRIBUTES.USES": {"attribute_feature": "pooled"}} if plugins == ["aal"] else {}
    tiny = tiny_network(CONFIGS / "sysu" / f"{method}.yml")
    if tree_of(f"sysu/{method}")["MODEL"]["POOL"]["NAME"] == "ClassTokenPool":  # not with an adapter
        tiny["MODEL.POOL.NAME"] = "AveragePool"
    tree = resolved_tree(load_checked(tmp_path / "x.yml", {**tiny, **without_pae}))
    alone = tree_of(f"sysu/{method}", {**tiny, "DATA.ATTRIBUTES": "table.csv"})
    assert without_plugin_keys(tree) == without_plugin_keys(alone)


AUGMENTATIONS = {"rle": ["ModerateRLE", "RadicalRLE"], "frequency": ["FourierAmplitudeSwap"]}


@pytest.mark.parametrize("plugin_name", AUGMENTATIONS)
@pytest.mark.parametrize("method", METHODS)
def test_augmentations_join_any_method_and_touch_nothing_else(tmp_path, method, plugin_name, tiny_network):
    tiny = tiny_network(CONFIGS / "sysu" / f"{method}.yml")
    path = tmp_path / "x.yml"
    path.write_text(f"_BASE_: [{CONFIGS}/sysu/{method}.yml, {CONFIGS}/plugins/{plugin_name}.yml]\n")
    tree, alone = resolved_tree(load_checked(path, tiny)), tree_of(f"sysu/{method}", tiny)
    added = [tree["AUGMENTATION"].pop(name) for name in set(tree["AUGMENTATION"]) - set(alone["AUGMENTATION"])]
    assert sorted(step["NAME"] for step in added) == ([] if method == plugin_name else AUGMENTATIONS[plugin_name])
    assert tree == alone
