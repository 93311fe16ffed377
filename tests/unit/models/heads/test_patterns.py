from __future__ import annotations

import pytest
import torch

from vireid.models.heads.patterns import PatternHead


@pytest.fixture
def head() -> PatternHead:
    torch.manual_seed(0)
    return PatternHead(num_parts=3, num_ids=5, channels=4)


def test_parts_equal_the_loop(head):
    feature_map = torch.randn(2, 4, 3, 2)
    out = head.train()(feature_map, feature_map.mean((2, 3)))
    weight, bias = head.masks.weight.flatten(1), head.masks.bias
    for row in range(2):
        expected = torch.zeros(4, 4)
        for h in range(3):
            for w in range(2):
                pixel = feature_map[row, :, h, w]
                masks = (weight @ pixel + bias).sigmoid()
                torch.testing.assert_close(out["part_masks"][row, :, h, w], masks)
                expected[:3] += masks[:, None] * pixel / 6  # divided by positions, not by the mask
                expected[3] += pixel / 6
        torch.testing.assert_close(out["features"][row].view(4, 4), expected)


def test_a_mask_of_ones_gives_the_pooled_vector(head):
    torch.nn.init.constant_(head.masks.bias, 100.0)
    feature_map = torch.randn(2, 4, 3, 2)
    features = head.eval()(feature_map, feature_map.mean((2, 3)))["features"].view(2, 4, 4)
    torch.testing.assert_close(features[:, 0], features[:, 3])


def test_shapes_and_what_training_adds(head):
    feature_map, pooled = torch.randn(6, 4, 3, 2), torch.randn(6, 4)
    assert set(head.train()(feature_map, pooled)) == set(head.provides)
    out = head.eval()(feature_map, pooled)
    assert set(out) == head.provides - head.training_only
    assert out["features_bn"].shape == (6, 16)


def test_starts_as_the_release_does(head):
    assert torch.equal(head.neck.weight, torch.ones(16))
    assert not head.neck.bias.requires_grad
    assert not head.masks.bias.any()
    assert head.classifier.bias is None
    assert head.classifier.weight.abs().max() <= 1 / 4  # 1 / sqrt(width)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="got 0, 5 and 4"):
        PatternHead(num_parts=0, num_ids=5, channels=4)
