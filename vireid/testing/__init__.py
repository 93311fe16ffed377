"""Helpers for authors of parts: a tiny batch, a tiny backbone, and contract checks.

    from vireid.testing import check_loss
    check_loss(lambda: MyLoss(margin=0.3))

A check takes a function that builds the part, because some requirements concern two instances (a state dict must
transfer the complete state). It raises AssertionError with the name of the part and the requirement that it violates:
declared fields are provided with the shapes of `core.fields`; gradients are finite and not at rounding level; results
do not depend on the order of rows; evaluation is deterministic; `state_dict` holds all state; inputs are not modified.
"""

from vireid.testing.attribute_checks import check_adapter, check_attribute_source, check_stage
from vireid.testing.checks import (
    check_backbone,
    check_head,
    check_insert,
    check_loss,
    check_no_wait,
    check_pool,
    check_term_schedule,
)
from vireid.testing.epochs import TinyEpoch, cluster_labels, tiny_epoch
from vireid.testing.promises import check_gradients, check_state, disable_dropout, fill_zeros, total_of
from vireid.testing.tiny import TINY, TinyBackbone, build_example, tiny_batch, tiny_field, tiny_fields

__all__ = [
    "TINY",
    "TinyBackbone",
    "TinyEpoch",
    "build_example",
    "check_adapter",
    "check_attribute_source",
    "check_backbone",
    "check_gradients",
    "check_head",
    "check_insert",
    "check_loss",
    "check_no_wait",
    "check_pool",
    "check_stage",
    "check_state",
    "check_term_schedule",
    "cluster_labels",
    "disable_dropout",
    "fill_zeros",
    "tiny_batch",
    "tiny_epoch",
    "tiny_field",
    "tiny_fields",
    "total_of",
]
