"""Golden adapters of CAJ and MCE: their losses, memories and whole networks."""

from __future__ import annotations

import torch
from adapters_losses import AGW_LOSS, check_agw_loss, leaf, same, tensor, two_modalities
from runner import Case, adapter
from torch import nn

from vireid.losses.soft_targets import SoftTargets
from vireid.losses.triplet import EnhancedSquaredTriplet


@adapter("agw", "loss_adp")
def loss_adp(case: Case) -> None:
    """The number of right anchors that the release logs has no counterpart here."""
    numbers = {"alpha": case.params["alpha"], "gamma": case.params["gamma"], "square": bool(case.params["square"])}
    check_agw_loss(case, EnhancedSquaredTriplet(released_eps=True, **numbers))


def check_soft_targets(case: Case, loss: nn.Module) -> None:
    """Students are the visible rows, their teachers the infrared ones of the same places."""
    student, teacher = (leaf(case.arrays[name], torch.float64) for name in ("in_x", "in_t"))
    rows = len(student)
    pairs, view = torch.arange(rows).repeat(2), torch.zeros(2 * rows, dtype=torch.long)
    logits = torch.cat([student, teacher])
    value = loss(logits, pairs, two_modalities(2 * rows), view, torch.arange(2 * rows))
    value.backward()
    same(value, case.arrays["out_loss"], AGW_LOSS[torch.float64], "loss")
    same(student.grad, case.arrays["grad_x"], AGW_LOSS[torch.float64], "gradient")
    assert not tensor(teacher.grad).any()


@adapter("agw", "loss_kl")
def loss_kl(case: Case) -> None:
    check_soft_targets(case, SoftTargets(form="divergence", temperature=case.params["T"]))


@adapter("agw", "loss_corefine")
def loss_corefine(case: Case) -> None:
    check_soft_targets(case, SoftTargets(form="cross_entropy"))
