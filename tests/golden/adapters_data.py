"""Golden adapters of samplers, pre-processing and schedules."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from runner import Case, adapter

from vireid.core.types import Modality
from vireid.data.datasets.sysu import CAMERAS, SysuMM01
from vireid.data.images.cache import open_images
from vireid.data.samplers.samplers import positions_by_label, released_epoch, steps_per_epoch
from vireid.engine.optim import SGD, WarmupSteps, set_learning_rate

# Epochs at which the released schedules drop, after ten of warm-up: what the configs of these methods say.
DROPS = {
    **dict.fromkeys(("agw", "agw_llcm", "caj", "caj_plus", "ddag", "mclnet"), (20, 50)),
    "deen": (20, 80),
    "mce_sysu": (21, 40),
    "mce_regdb": (31, 60),
}


@adapter("agw", "sampler")
def released_sampler(case: Case) -> None:
    arrays, identities, per_modality = case.arrays, case.params["batch_size"], case.params["num_pos"]
    labels = arrays["train_color_label"], arrays["train_thermal_label"]
    state = np.random.RandomState(case.params["np_seed"])
    for epoch in range(2):
        drawn = released_epoch(*labels, identities=identities, per_modality=per_modality, state=state)
        np.testing.assert_array_equal(drawn[0], arrays[f"out_e{epoch}_index1"])
        np.testing.assert_array_equal(drawn[1], arrays[f"out_e{epoch}_index2"])
    pairs = identities * per_modality
    steps = steps_per_epoch(*map(len, labels), pairs)
    assert steps == arrays["out_num_batches_actual"]  # the release's progress line prints one less
    assert steps * pairs == arrays["out_iter_len"]


@adapter("mpa", "mclnet_sampler", "mce_sampler")
def released_sampler_of_one_epoch(case: Case) -> None:
    arrays, identities, per_modality = case.arrays, case.params["batch_ids"], case.params["num_pos"]
    labels = arrays["labels_v"], arrays["labels_t"]
    state = np.random.RandomState(case.params["seed"])
    drawn = released_epoch(*labels, identities=identities, per_modality=per_modality, state=state)
    np.testing.assert_array_equal(drawn[0], arrays["index1"])
    np.testing.assert_array_equal(drawn[1], arrays["index2"])
    pairs = identities * per_modality
    assert steps_per_epoch(*map(len, labels), pairs) * pairs == arrays["iter_len"]


@adapter("agw", "genidx")
def positions(case: Case) -> None:
    (sampler,) = case.needed
    for labels, expected in (("train_color_label", "color_pos"), ("train_thermal_label", "thermal_pos")):
        assert [each.tolist() for each in positions_by_label(sampler.arrays[labels])] == case.arrays[expected]


@adapter("agw", "preprocess_agw", "preprocess_deen")
def pre_processing(case: Case) -> None:
    """Reader and cache against the released arrays. Order and labels exactly, pixels to one step of 255 (Pillow's)."""
    arrays, size = case.arrays, (case.params["height"], case.params["width"])
    with tempfile.TemporaryDirectory() as folder:
        root = _write_tree(Path(folder) / "SYSU", arrays)
        samples = SysuMM01(root=str(root)).train()
        images = np.array(open_images(samples, size=size, folder=Path(folder) / "cache"))
    raw = np.array([int(sample.path.parent.name) for sample in samples])
    modality = np.array([sample.modality for sample in samples])
    label = np.array([sample.identity for sample in samples])
    np.testing.assert_array_equal(label, np.searchsorted(np.unique(raw), raw))
    # The released labels enumerate a set, which for few and large identities is not ascending.
    released = {identity: rank for rank, identity in enumerate(set(raw[modality == Modality.INFRARED].tolist()))}
    for name, kind in (("rgb", Modality.VISIBLE), ("ir", Modality.INFRARED)):
        ours = images[modality == kind]
        assert [released[identity] for identity in raw[modality == kind]] == arrays[f"out_{name}_label"].tolist()
        assert list(ours.shape) == arrays[f"out_{name}_shape"].tolist()
        _assert_pixels(ours[:, ::8, ::6], arrays[f"out_{name}_img_every"])
        _assert_pixels(ours[0], arrays[f"out_{name}_img0_full"])
        np.testing.assert_allclose(ours.mean(axis=(1, 2, 3)), arrays[f"out_{name}_mean"], atol=1, rtol=0)


def _write_tree(root: Path, arrays: dict[str, np.ndarray]) -> Path:
    """The toy tree with its pixels as they are, and one test identity, without which our reader calls it incomplete."""
    train, val = (arrays[name].tolist() for name in ("train_ids", "val_ids"))
    test = max(*train, *val) + 1
    (root / "exp").mkdir(parents=True)
    for name, identities in (("train", train), ("val", val), ("test", [test])):
        (root / "exp" / f"{name}_id.txt").write_text(",".join(map(str, identities)) + "\n")
    for camera in CAMERAS:
        (root / f"cam{camera}").mkdir()
    files = {key.removeprefix("src_").replace("__", "/"): key for key in arrays if key.startswith("src_")}
    for path, key in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        Image.fromarray(arrays[key]).save(root / path, format="PNG")  # whatever the name says: nothing may be lost
    (root / "cam3" / f"{test:04d}").mkdir()
    return root


def _assert_pixels(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype == np.uint8
    np.testing.assert_allclose(ours.astype(int), theirs.astype(int), atol=1, rtol=0)


def _rates(base: float, drops: tuple[int, ...], epochs: int) -> np.ndarray:
    """(epochs, 2): rates of a group of scale 0.1 and of one of scale 1, as the optimizer gets them."""
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "scale": scale} for scale in (0.1, 1.0)]
    optimizer, schedule = SGD(groups, lr=base), WarmupSteps(warmup=10, drops=drops, factor=0.1)
    rates = []
    for epoch in range(epochs):
        set_learning_rate(optimizer, schedule(epoch))
        rates.append([group["lr"] for group in optimizer.param_groups])
    return np.array(rates)


@adapter("agw", "lr_schedules")
def learning_rates(case: Case) -> None:
    for key, expected in case.arrays.items():
        rates = _rates(expected["base_lr"], DROPS[key.rpartition("_lr")[0]], expected["epochs"])
        np.testing.assert_allclose(rates[:, 1], expected["lr"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(rates[:, 0], expected["group0"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(rates[:, 1], expected["other_groups"], rtol=0, atol=1e-12)


@adapter("mpa", "mclnet_schedules")
def learning_rates_of_mclnet(case: Case) -> None:
    rates = _rates(0.1, DROPS["mclnet"], len(case.arrays["lr"]))
    np.testing.assert_allclose(rates[:, 1], case.arrays["lr"], rtol=1e-12, atol=0)
    np.testing.assert_allclose(rates[:, 0], case.arrays["lr_backbone"], rtol=1e-12, atol=0)
    np.testing.assert_allclose(rates[:, 1], case.arrays["lr_head"], rtol=1e-12, atol=0)


@adapter("mpa", "mce_schedules")
def learning_rates_of_mce(case: Case) -> None:
    for dataset in ("sysu", "regdb"):
        expected = case.arrays[f"lr_{dataset}"]
        rates = _rates(3.5e-4, DROPS[f"mce_{dataset}"], len(expected))
        np.testing.assert_allclose(rates[:, 1], expected, rtol=1e-12, atol=0)
