from __future__ import annotations

import pytest
import torch

from vireid.core.types import Modality
from vireid.losses.soft_targets import SoftTargets
from vireid.testing import tiny_batch


def rows():
    """Two views of three visible images and one view of two or three infrared ones of two people, shuffled."""
    columns = []
    for label, infrared in ((5, 3), (2, 2)):
        columns += [(label, 0, view, 10 * label + n) for view in (0, 1) for n in range(3)]
        columns += [(label, 1, 0, 100 * label + n) for n in range(infrared)]
    order = torch.randperm(len(columns), generator=torch.Generator().manual_seed(0))
    labels, modality, view, index = torch.tensor(columns)[order].unbind(1)
    logits = torch.randn(len(columns), 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return logits.requires_grad_(), labels, modality, view, index


def by_loop(logits, labels, modality, view, index, student, teacher, cost):
    values = []
    for label in set(labels.tolist()):
        mine = [
            sorted(
                (int(index[i]), i) for i in range(len(labels)) if (labels[i], modality[i], view[i]) == (label, *side)
            )
            for side in (student, teacher)
        ]
        values += [cost(logits[i], logits[j].detach()) for (_, i), (_, j) in zip(*mine)]
    return torch.stack(values).mean()


def test_the_exchanged_view_teaches_the_plain_one():
    logits, *others = rows()
    loss = SoftTargets(form="cross_entropy", teacher="visible", teacher_view=1)
    naive = by_loop(logits, *others, (0, 0), (0, 1), lambda s, t: -(t.softmax(0) * s.log_softmax(0)).sum())
    ours = loss(logits, *others)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, logits, retain_graph=True)[0] for v in (ours, naive)))


def test_infrared_rows_teach_those_that_they_stand_beside():
    logits, *others = rows()

    def cost(student, teacher):
        p = (teacher / 2).softmax(0) + 1e-7
        return 4 * (p * (p.log() - (student / 2).log_softmax(0))).sum()

    naive = by_loop(logits, *others, (0, 0), (1, 0), cost)
    torch.testing.assert_close(SoftTargets(temperature=2.0)(logits, *others), naive)


def test_a_batch_without_teachers_is_an_error():
    batch = tiny_batch()
    visible = batch.select(batch.modality == Modality.VISIBLE)
    logits = torch.zeros(len(visible), 4)
    with pytest.raises(ValueError, match=r"no row of the batch has a teacher.*VIEWS"):
        SoftTargets()(logits, visible.labels, visible.modality, visible.view, visible.index)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"teacher": "visible"}, "student and teacher are the same rows: visible, view 0"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"teacher_view": -1}, "student_view and teacher_view must be at least 0, got 0 and -1"),
    ],
)
def test_wrong_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        SoftTargets(**arguments)
