"""Rows that teach other rows of the same identity."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.core.types import Modality
from vireid.layers.pairing import follow, partners
from vireid.layers.pairwise import insist
from vireid.layers.soft_targets import soft_cross_entropy, soft_divergence

Name = Literal["visible", "infrared"]
TEACHER_EPS = 1e-7  # of the released divergence


@LOSSES.register
class SoftTargets(nn.Module):
    """Identity scores of some rows (students) drawn to those of others of the same identity (teachers).

    Shapes: logits (R, I), labels (R,), modality (R,), view (R,), index (R,) -> scalar: the mean over students that
    have a teacher. Both sides are rows of one modality and view; the r-th row of an identity on one side learns from
    the r-th on the other, counted by `index`, so two views of one image belong together. Teachers get no gradient.
    `form`: "divergence" is T^2 KL(teacher || student) with `temperature` T; "cross_entropy" has no temperature.
    Errors: a batch without any pair is a ValueError on the CPU and NaN on other devices.
    Source: CAJ (ICCV 2021), KL term, off in its published results; CAJ+ (PAMI 2023), co-refine term, view 0 taught by
    view 1. Departs: the releases pair rows by their places in the sampler's batch.
    """

    def __init__(
        self,
        *,
        student: Name = "visible",
        student_view: int = 0,
        teacher: Name = "infrared",
        teacher_view: int = 0,
        form: Literal["divergence", "cross_entropy"] = "divergence",
        temperature: float = 3.0,
    ) -> None:
        super().__init__()
        if (student, student_view) == (teacher, teacher_view):
            raise ValueError(f"student and teacher are the same rows: {student}, view {student_view}")
        if student_view < 0 or teacher_view < 0:
            raise ValueError(f"student_view and teacher_view must be at least 0, got {student_view} and {teacher_view}")
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.student = int(Modality[student.upper()]), student_view
        self.teacher = int(Modality[teacher.upper()]), teacher_view
        self.form, self.temperature = form, temperature

    def forward(self, logits: Tensor, labels: Tensor, modality: Tensor, view: Tensor, index: Tensor) -> Tensor:
        students, teachers = ((modality == kind) & (view == number) for kind, number in (self.student, self.teacher))
        pairs = partners(students, teachers, labels, index)
        taught = pairs.any(dim=1)
        values = self._cost(logits, follow(pairs, logits.detach()))
        text = "no row of the batch has a teacher: are there rows of these modalities and views (VIEWS)?"
        mean = torch.where(taught, values, 0).sum() / taught.sum().clamp_min(1)
        return mean + insist(taught.any(), text)

    def _cost(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.form == "cross_entropy":
            return soft_cross_entropy(student, teacher)
        return soft_divergence(student, teacher, temperature=self.temperature, eps=TEACHER_EPS)
