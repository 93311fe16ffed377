from __future__ import annotations

import pytest
import torch

from vireid.models.heads.identity import IdentityHead


def test_logits_in_training_only():
    head, pooled = IdentityHead(num_ids=5, channels=8), torch.rand(6, 8)
    assert set(head(pooled)) == {"features", "features_bn", "logits"}
    assert set(head.eval()(pooled)) == {"features", "features_bn"}


def test_logits_are_linear_in_the_neck_without_bias():
    head, pooled = IdentityHead(num_ids=5, channels=8), torch.rand(6, 8)
    out = head(pooled)
    assert out["features"] is pooled
    torch.testing.assert_close(out["logits"], out["features_bn"] @ head.classifier.weight.T)
    torch.testing.assert_close(out["features_bn"].mean(0), torch.zeros(8), atol=1e-6, rtol=0)


def test_names_in_the_state_dict_stay():
    """Checkpoints and LR_SCALE refer to them."""
    names = {name for name, _ in IdentityHead(num_ids=5, channels=8).named_parameters()}
    assert names == {"neck.weight", "neck.bias", "classifier.weight"}


def test_an_unknown_number_of_identities_is_refused():
    with pytest.raises(ValueError, match="num_ids and channels must be at least 1, got 0 and 8"):
        IdentityHead(num_ids=0, channels=8)
