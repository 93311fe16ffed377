"""Every composition in configs/ passes the check, builds on a tiny backbone and takes a step."""

from dataclasses import replace

import pytest
import torch
from snapshot import CONFIGS, compositions

from vireid.config import Build, check_config
from vireid.config.load import read_unchecked
from vireid.config.yaml import parse
from vireid.core.types import DatasetInfo, Progress
from vireid.engine.epoch_start import starting_parts
from vireid.engine.optim import parameter_groups
from vireid.testing import cluster_labels, tiny_batch, tiny_epoch

INFO = DatasetInfo(num_ids=5, num_cameras=6, num_attributes=8)
FRAGMENT_KEYS = {  # folder -> keys that its files may set
    "datasets": {"DATA", "AUGMENTATION", "EVALUATION"},
    # views and augmentations belong to the method if it learns from them
    "methods": {"_BASE_", "MODEL", "OBJECTIVE", "SOLVER", "VIEWS", "AUGMENTATION", "FLIP_TEST", "GATHER_FEATURES"}
    | {"LABELS", "SAMPLER"},  # of methods that make their labels
}

composition = pytest.mark.parametrize("path", compositions(), ids=lambda path: str(path.relative_to(CONFIGS)))


def test_each_dataset_has_the_four_first_methods():
    methods = ("baseline", "agw", "hct", "mmd")
    expected = {f"{dataset}/{method}.yml" for dataset in ("sysu", "regdb", "llcm") for method in methods}
    assert expected | {"demo/sysu_mmd.yml"} <= {str(path.relative_to(CONFIGS)) for path in compositions()}


@composition
def test_passes_the_check(path):
    check_config(read_unchecked(path))


@composition
def test_builds_and_takes_a_step(path, tiny_network):
    config = read_unchecked(path, tiny_network(path))
    batch = tiny_batch(size=(96, 32))  # a map of 6 rows, one for each stripe
    build = Build(check_config(config), INFO)
    model = build.model()
    objective = build.objective(model)
    if build.makes_labels:
        batch = replace(batch, labels=cluster_labels(batch))
        for part in starting_parts(objective.modules()):
            part.start_epoch(tiny_epoch(tiny_batch(size=(96, 32)), width=model.dims["features_bn"]))
    total, terms = objective(batch, model(batch), Progress())
    assert torch.isfinite(total)
    used = {name.lower() for name, node in config.OBJECTIVE.items() if node.NAME != "none"}
    assert {name.split("/")[0] for name in terms} == used
    model.eval()
    assert model.embed(batch).shape[0] == len(batch)
    groups = parameter_groups(model, objective, build.lr_scale(), **build.group_options())
    assert build.optimizer(groups).defaults["lr"] == config.SOLVER.LR
    assert 0 < build.lr_schedule()(0) <= 1
    assert build.epochs() >= 1
    assert list(build.evaluators()) == [name.lower() for name in config.EVALUATION]


def trees(folder: str = ".") -> dict[str, dict]:
    """File below configs/ -> its content, without bases; the files have no YAML problems."""
    files = sorted((CONFIGS / folder).rglob("*.yml"))
    parsed = {file.relative_to(CONFIGS).as_posix(): parse(file.read_text(encoding="utf-8")) for file in files}
    assert {name: tree.problems for name, tree in parsed.items() if tree.problems} == {}
    return {name: tree.value for name, tree in parsed.items()}


def test_every_file_is_plain_yaml():
    assert len(trees()) > len(compositions())


@pytest.mark.parametrize("folder", FRAGMENT_KEYS)
def test_fragments_set_only_their_keys(folder):
    unexpected = {name: keys for name, tree in trees(folder).items() if (keys := set(tree) - FRAGMENT_KEYS[folder])}
    assert unexpected == {}


def test_plugins_have_no_base():
    """A base would override the changes of the method."""
    assert [name for name, tree in trees("plugins").items() if "_BASE_" in tree] == []
