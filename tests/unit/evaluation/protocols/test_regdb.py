from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import Modality
from vireid.evaluation import RegDBProtocol

VIS, NIR = Modality.VISIBLE, Modality.INFRARED


@pytest.fixture
def table(table_of):
    return table_of({(VIS, 3, 1): 2, (VIS, 0, 1): 3, (NIR, 0, 2): 2, (NIR, 3, 2): 4})


@pytest.mark.parametrize(
    ("direction", "query", "gallery"),
    [("visible_to_infrared", range(5), range(5, 11)), ("infrared_to_visible", range(5, 11), range(5))],
)
def test_all_images_in_the_order_of_the_lists(table, direction, query, gallery):
    protocol = RegDBProtocol(direction=direction)
    (trial,) = protocol.trials(table)
    assert trial.query.tolist() == protocol.query_rows(table).tolist() == list(query)
    assert trial.gallery.tolist() == protocol.gallery_rows(table).tolist() == list(gallery)
    assert not trial.junk(trial.query, trial.gallery).any()
    assert protocol.conditions["direction"] == direction.replace("_", " ")


def test_the_usual_direction_and_the_cmc_over_images():
    assert RegDBProtocol().conditions == {
        "protocol": "RegDB",
        "direction": "visible to infrared",
        "mode": "all images",
        "shots": "all",
        "trials": 1,
        "draw": "none",
    }
    assert RegDBProtocol().metric == "image"


def test_wrong_direction():
    with pytest.raises(UserError, match=r"got 'visible_to_thermal'; did you mean 'visible_to_infrared'\?"):
        RegDBProtocol(direction="visible_to_thermal")


def test_one_modality_is_not_enough(table_of):
    with pytest.raises(DataError) as caught:
        list(RegDBProtocol().trials(table_of({(VIS, 1, 1): 3})))
    assert str(caught.value) == (
        "RegDBProtocol found no gallery images: none of the 3 test images is infrared"
        " (cameras of the test images: visible 1)"
    )
    assert np.array_equal(RegDBProtocol().query_rows(table_of({(VIS, 1, 1): 3})), [0, 1, 2])
