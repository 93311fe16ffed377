from __future__ import annotations

import pytest
import torch
from torch import nn

from vireid.core.errors import ArgumentError, ConfigError
from vireid.models.heads.global_parts import GlobalPartHead


def head(**more) -> GlobalPartHead:
    torch.manual_seed(0)
    return GlobalPartHead(**({"num_parts": 3, "num_ids": 5, "channels": 7} | more)).double()


def one_by_one(module: GlobalPartHead, feature_map: torch.Tensor, heights: list[int]):
    """A mean, a neck and a classifier for each part and for the whole map."""
    starts = [sum(heights[:number]) for number in range(len(heights))]
    pieces = [feature_map[:, :, start : start + height] for start, height in zip(starts, heights)] + [feature_map]
    weights = [*module.part_classifier.weight, module.classifier.weight]
    features, necks, logits = [], [], []
    for number, piece in enumerate(pieces):
        channels = feature_map.shape[1]
        neck = nn.BatchNorm1d(channels).double().train(module.training)
        rows = slice(number * channels, (number + 1) * channels)
        neck.load_state_dict({k: v[rows] if v.dim() else v for k, v in module.neck.state_dict().items()})
        features.append(piece.flatten(2).mean(dim=2))
        necks.append(neck(features[-1]))
        logits.append(necks[-1] @ weights[number].T)
    return features, necks, logits


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("parts", "heights"), [(3, [3, 3, 2]), (3, [2, 2, 1]), (3, [2, 2, 2]), (2, [3, 2]), (1, [4])])
def test_equals_parts_and_whole_one_by_one(training, parts, heights):
    module = head(num_parts=parts)
    module.neck.running_mean.uniform_()
    module.train(training)
    feature_map = torch.rand(6, 7, sum(heights), 2, dtype=torch.float64)
    features, necks, logits = one_by_one(module, feature_map, heights)
    out = module(feature_map, feature_map.mean(dim=(2, 3)))
    torch.testing.assert_close(out["features"], torch.cat(features, dim=1))
    torch.testing.assert_close(out["features_bn"], torch.cat(necks, dim=1))
    torch.testing.assert_close(out["part_features"], torch.stack(features[:-1], dim=1))
    if training:
        torch.testing.assert_close(out["part_logits"], torch.stack(logits[:-1], dim=1))
        torch.testing.assert_close(out["logits"], logits[-1])
    else:
        assert set(out) == {"features", "features_bn", "part_features"}


def test_classifiers_have_no_bias_and_start_small():
    module = head(num_ids=200, channels=50)
    assert set(module.state_dict()) - {f"neck.{name}" for name in nn.BatchNorm1d(1).state_dict()} == {
        "part_classifier.weight",
        "classifier.weight",
    }
    for weight in (module.part_classifier.weight, module.classifier.weight):
        assert weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert not module.neck.bias.requires_grad


@pytest.mark.parametrize("height", [1, 2, 4])
def test_a_map_with_too_few_rows_is_an_error(height):
    """4 rows: two parts of 2 rows leave nothing for the third."""
    with pytest.raises(ConfigError, match=f"GlobalPartHead: a map of height {height} cannot be cut into 3 parts"):
        head()(torch.rand(2, 7, height, 2, dtype=torch.float64), torch.rand(2, 7, dtype=torch.float64))


@pytest.mark.parametrize("name", ["num_parts", "num_ids", "channels"])
def test_arguments_are_checked(name):
    with pytest.raises(ArgumentError) as caught:
        head(**{name: 0})
    assert caught.value.parameter == name
