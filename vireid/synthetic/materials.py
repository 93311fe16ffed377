"""Reflectances of cloth, skin and hair: red, green, blue and near infrared.

The near-infrared value is always drawn independently. Dyes that look black are often bright at 850 nm, and pale ones
may be dark there, so the color of a garment does not determine the brightness of its infrared image.
"""

from __future__ import annotations

import colorsys

import numpy as np

CHANNELS = 4  # red, green, blue, near infrared; display values in 0..1
NEAR_INFRARED = 3

_NEUTRALS = np.array(
    [
        (0.09, 0.09, 0.10),
        (0.16, 0.16, 0.17),
        (0.33, 0.33, 0.34),
        (0.52, 0.52, 0.52),
        (0.74, 0.73, 0.71),
        (0.90, 0.89, 0.87),
        (0.12, 0.15, 0.27),
        (0.42, 0.37, 0.30),
        (0.62, 0.55, 0.43),
    ]
)
_DENIM = np.array([(0.14, 0.18, 0.29), (0.23, 0.31, 0.45), (0.38, 0.47, 0.60), (0.10, 0.11, 0.14)])


def infrared_reflectance(rng: np.random.Generator) -> float:
    """Draw the reflectance of a textile: from carbon-black nylon to cotton with a dye that is transparent at 850 nm."""
    return float(0.10 + 0.80 * rng.beta(1.3, 1.1))


def dye(rng: np.random.Generator, neutral_share: float) -> np.ndarray:
    """Draw the reflectances (4,) of a dyed cloth."""
    if rng.random() < neutral_share:
        color = _NEUTRALS[rng.integers(len(_NEUTRALS))] + rng.normal(0, 0.02, 3)
    else:
        color = np.array(colorsys.hsv_to_rgb(rng.random(), rng.beta(2.2, 2.2), rng.uniform(0.20, 0.85)))
    return np.append(np.clip(color, 0.04, 0.96), infrared_reflectance(rng))


def denim(rng: np.random.Generator) -> np.ndarray:
    """Draw the reflectances (4,) of blue or black denim."""
    color = _DENIM[rng.integers(len(_DENIM))] + rng.normal(0, 0.025, 3)
    return np.append(np.clip(color, 0.05, 0.95), infrared_reflectance(rng))


def palette(rng: np.random.Generator, base: np.ndarray, neutral_share: float) -> np.ndarray:
    """Draw the reflectances (3, 4) of a base cloth and two colors of its pattern.

    Some patterns are invisible in the infrared (both dyes are transparent), and a few are visible only there.
    """
    layers = [base]
    for _ in range(2):
        layer = dye(rng, neutral_share)
        while np.abs(layer[:3] - base[:3]).max() < 0.22:  # the pattern must be visible
            layer = dye(rng, neutral_share)
        if rng.random() < 0.22:
            layer[NEAR_INFRARED] = base[NEAR_INFRARED] + rng.normal(0, 0.02)
        else:
            while abs(layer[NEAR_INFRARED] - base[NEAR_INFRARED]) < 0.25:
                layer[NEAR_INFRARED] = infrared_reflectance(rng)
        if rng.random() < 0.08:
            layer[:3] = base[:3] + rng.normal(0, 0.02, 3)
        layers.append(layer)
    return np.clip(np.stack(layers), 0.03, 0.97)


def skin(rng: np.random.Generator) -> np.ndarray:
    """Draw the reflectances (4,) of skin: bright in the near infrared for every tone (melanin absorbs little there)."""
    tone = rng.beta(2.2, 2.0)
    light, dark = np.array([0.88, 0.71, 0.60]), np.array([0.38, 0.25, 0.18])
    return np.append(light + (dark - light) * tone + rng.normal(0, 0.015, 3), 0.70 + rng.normal(0, 0.04))


def hair(rng: np.random.Generator) -> np.ndarray:
    """Draw the reflectances (4,) of hair: mostly dark; in the infrared a medium gray independent of the color."""
    choices = np.array(
        [
            (0.07, 0.06, 0.06),
            (0.11, 0.08, 0.07),
            (0.20, 0.13, 0.09),
            (0.36, 0.24, 0.14),
            (0.56, 0.43, 0.26),
            (0.45, 0.44, 0.43),
        ]
    )
    color = choices[rng.choice(len(choices), p=[0.42, 0.26, 0.14, 0.08, 0.05, 0.05])]
    return np.append(np.clip(color + rng.normal(0, 0.012, 3), 0.03, 0.9), rng.uniform(0.16, 0.46))
