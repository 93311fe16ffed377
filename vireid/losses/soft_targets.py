"""Distillation between rows of the same identity."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.core.types import Modality
from vireid.layers.pairing import follow, partners
from vireid.layers.pairwise import require
from vireid.layers.soft_targets import soft_cross_entropy, soft_divergence

Name = Literal["visible", "infrared"]
TEACHER_EPS = 1e-7  # added to the teacher's probabilities, as in the released code


@LOSSES.register
class SoftTargets(nn.Module):
    """Distill identity logits between rows of the same identity: teacher rows to student rows.

    Student rows and teacher rows are each the rows of one modality and one view. The r-th student row of an identity
    learns from the r-th teacher row, ordered by `index`, so that two views of one image form a pair. Teachers receive
    no gradient.

    Args:
        student: Modality of the student rows.
        student_view: View of the student rows.
        teacher: Modality of the teacher rows.
        teacher_view: View of the teacher rows.
        form: "divergence": T^2 KL(teacher || student). "cross_entropy": cross-entropy, without a temperature.
        temperature: Temperature T of the divergence.

    Shape:
        logits (R, I), labels (R,), modality (R,), view (R,), index (R,) -> scalar, the mean over students with a
        teacher.

    Raises:
        ValueError: If the batch holds no pair. On devices other than the CPU the loss is NaN instead.

    Source:
        Ye et al., "Channel Augmented Joint Learning for Visible-Infrared Recognition" (CAJ), ICCV 2021: KL term, off
        in the published results; CAJ+ (TPAMI 2023): co-refine term, with view 0 as the student of view 1.

    Departs:
        The released codes pair rows by their positions in the batch of their sampler.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> loss = SoftTargets(form="cross_entropy")  # visible rows learn from infrared rows
        >>> loss(
        ...     logits,
        ...     labels=torch.tensor([0, 0]),
        ...     modality=torch.tensor([0, 1]),
        ...     view=torch.tensor([0, 0]),
        ...     index=torch.tensor([0, 1]),
        ... )
        tensor(0.6931)
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
            raise ArgumentError("temperature", f"must be above 0, got {temperature}")
        self.student = int(Modality[student.upper()]), student_view
        self.teacher = int(Modality[teacher.upper()]), teacher_view
        self.form, self.temperature = form, temperature

    def forward(self, logits: Tensor, labels: Tensor, modality: Tensor, view: Tensor, index: Tensor) -> Tensor:
        students, teachers = ((modality == kind) & (view == number) for kind, number in (self.student, self.teacher))
        pairs = partners(students, teachers, labels, index)
        has_teacher = pairs.any(dim=1)
        values = self._cost(logits, follow(pairs, logits.detach()))
        text = (
            "SoftTargets: no row of the batch has a teacher; check that the sampler and VIEWS give rows of the student"
            " and teacher modalities and views"
        )
        mean = torch.where(has_teacher, values, 0).sum() / has_teacher.sum().clamp_min(1)
        return mean + require(has_teacher.any(), text)

    def _cost(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.form == "cross_entropy":
            return soft_cross_entropy(student, teacher)
        return soft_divergence(student, teacher, temperature=self.temperature, eps=TEACHER_EPS)
