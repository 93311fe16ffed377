"""For authors of parts: a tiny batch, a tiny backbone, and checks of what every part promises.

    from vireid.testing import check_loss
    check_loss(lambda: MyLoss(margin=0.3))

A check takes a function that builds the part, because some promises are about two instances (a state dict must carry
everything from one to the other). It raises AssertionError with the name of the part and the broken promise. Promises:
declared fields are provided with the shapes of `core.vocabulary`; gradients are finite and none is at rounding level;
nothing depends on the order of rows; evaluation is deterministic; `state_dict` holds all state; inputs are not changed.
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
from vireid.testing.promises import check_gradients, check_state, fill_zeros, still, total_of
from vireid.testing.tiny import TINY, TinyBackbone, build_example, tiny_batch, tiny_field, tiny_fields

__all__ = [
    "TINY",
    "TinyBackbone",
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
    "fill_zeros",
    "still",
    "tiny_batch",
    "tiny_field",
    "tiny_fields",
    "total_of",
]
