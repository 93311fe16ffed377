from __future__ import annotations

import pytest

from vireid.core.types import Progress
from vireid.losses.schedules import LinearRamp


def test_the_ramp_ends_at_1():
    ramp = LinearRamp(epochs=4)
    assert [ramp(Progress(epoch=e)) for e in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]


def test_the_ramp_has_a_length():
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        LinearRamp(epochs=0)
