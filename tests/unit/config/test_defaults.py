import pytest

from vireid.config.coerce import Mismatch, shown
from vireid.config.schema import SETTINGS


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.key)
def test_every_default_passes_its_own_check(setting):
    assert setting.convert(setting.default) == setting.default


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("SEED", -1, "is below 0"),
        ("SEED", 1.5, "is not an integer"),
        ("SIZE", [288], "is not a list of 2 integers"),
        ("SIZE", [8, 64], "is too small: [height, width] of at least 16 pixels each"),
        ("DEVICE", "cud", "is not one of ('auto', 'cpu', 'cuda'); did you mean 'cuda'?"),
        ("OUTPUT_DIR", "", "is empty"),
        ("MODEL.EMBEDDING", [], "is empty"),
        ("TEST_BATCH", 0, "is below 1"),
    ],
)
def test_refused_values(key, value, text):
    with pytest.raises(Mismatch) as fault:
        SETTINGS[key].convert(value)
    assert str(fault.value) == text, shown(value)
