"""Distillation losses for each row: soft cross-entropy and divergence."""

from __future__ import annotations

from torch import Tensor


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Soft cross-entropy - sum p_teacher log p_student: (N, I), (N, I) logits -> (N,). The teacher gets no gradient.

    Source:
        "CoRefineLoss" of CAJ's second release (TPAMI 2023).
    """
    return -(teacher.detach().softmax(dim=1) * student.log_softmax(dim=1)).sum(dim=1)


def soft_divergence(student: Tensor, teacher: Tensor, *, temperature: float = 1.0, eps: float = 0.0) -> Tensor:
    """Distillation loss T^2 KL(teacher || student) of logits divided by T: (N, I), (N, I) -> (N,).

    The teacher gets no gradient. `eps` is added to its probabilities.

    Source:
        "KLDivLoss" of CAJ (T = 3, eps = 1e-7); alignment of MCE (T = 1).
    """
    scores = (teacher / temperature).detach()
    log_p = scores.log_softmax(dim=1)
    p = log_p.exp()
    if eps:
        p = p + eps
        log_p = p.log()
    return temperature**2 * (p * (log_p - (student / temperature).log_softmax(dim=1))).sum(dim=1)
