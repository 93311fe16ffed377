"""AAL's head attribute by attribute, and the plain classifier."""

import pytest
import torch

from vireid.models.heads.attributes import AttributeClassifier, AttributeHead

R, A, C = 3, 4, 6


def head(**arguments):
    torch.manual_seed(0)
    return AttributeHead(num_attributes=A, channels=C, **arguments).double()


def weights_of(head):
    torch.nn.init.normal_(head.classifiers.weight)
    torch.nn.init.normal_(head.classifiers.bias)
    return head.layers.weight, head.layers.bias, head.classifiers.weight, head.classifiers.bias


@pytest.mark.parametrize("width", [None, 5])
def test_equations_8_and_9(width):
    module = head(width=width)
    layer, shift, classifier, bias = weights_of(module)
    feature, pooled = torch.randn(R, A, C).double(), torch.rand(R, C).double()
    logits = module(feature, pooled)["attribute_logits"]
    for row in range(R):
        joined = torch.cat([feature[row, i] for i in range(A)]).sigmoid()  # W1 over the n f_i side by side
        copies = torch.cat([pooled[row]] * A) * joined  # n copies of the pooled vector
        for i in range(A):
            own = layer[i] @ copies[i * C : (i + 1) * C] + shift[i]
            torch.testing.assert_close(logits[row, i], (classifier[i] @ own + bias[i])[0])


def test_one_vector_counts_for_every_attribute():
    module = head()
    weights_of(module)
    feature, pooled = torch.randn(R, C).double(), torch.rand(R, C).double()
    each = module(feature[:, None].expand(-1, A, -1).contiguous(), pooled)["attribute_logits"]
    torch.testing.assert_close(module(feature, pooled)["attribute_logits"], each)
    torch.testing.assert_close(module(feature[:, None], pooled)["attribute_logits"], each)


def test_both_are_for_training_only():
    for kind in (AttributeHead, AttributeClassifier):
        assert kind.training_only == kind.provides == {"attribute_logits"}


def test_the_plain_classifier_has_no_bias_and_takes_one_token_too():
    module = AttributeClassifier(num_attributes=A, feature_dim=C)
    rows = torch.randn(R, C)
    expected = rows @ module.classifier.weight.T
    torch.testing.assert_close(module(rows)["attribute_logits"], expected)
    torch.testing.assert_close(module(rows[:, None])["attribute_logits"], expected)
    assert module.classifier.bias is None


def test_width_is_checked():
    with pytest.raises(ValueError, match="width must be at least 1, or null, got 0"):
        head(width=0)


def test_a_neck_normalises_the_pooled_vector_only():
    module = head(neck=True).train()
    weights_of(module)
    feature, pooled = torch.randn(R, A, C).double(), torch.rand(R, C).double()
    plain = head()
    plain.load_state_dict({k: v for k, v in module.state_dict().items() if not k.startswith("neck.")})
    normalised = (pooled - pooled.mean(0)) / (pooled.var(0, unbiased=False) + 1e-5).sqrt() * module.neck.weight
    expected = plain(feature, normalised)["attribute_logits"]
    torch.testing.assert_close(module(feature, pooled)["attribute_logits"], expected)
