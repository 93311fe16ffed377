"""Cameras, and the random circumstances of each image.

A `Camera` is fixed; a `Shot` has all random numbers of one image. `difficulty` (0 to 1) scales their spread: at 0,
identities walk towards the camera in full view; at 1, they turn, are cropped, occluded, blurred and badly lit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from vireid.synthetic.skeleton import Pose


@dataclass(frozen=True, slots=True)
class Camera:
    """Fixed properties of a camera. Angles are in radians; headings are usual walking directions (0 = towards it)."""

    number: int
    infrared: bool
    indoor: bool
    scene: int  # cameras with the same number have the same background
    pitch: float  # downward angle
    headings: tuple[float, ...]
    light: tuple[float, float, float]  # to the lamp: image right, image down, towards the camera
    ambient: float
    gain: tuple[float, float, float]  # color of the light times exposure
    contrast: float
    noise: float  # standard deviation, display values
    softness: float  # size of a sensor pixel in image pixels


SYSU_CAMERAS = {
    camera.number: camera
    for camera in (
        Camera(
            1, False, True, 0, 0.30, (0.0, pi, 0.6), (0.25, -0.55, 0.80), 0.52, (1.06, 0.99, 0.88), 1.00, 0.020, 1.35
        ),
        Camera(
            2,
            False,
            True,
            1,
            0.22,
            (0.3, pi + 0.3, -1.2),
            (-0.45, -0.40, 0.80),
            0.50,
            (0.90, 0.93, 0.95),
            0.92,
            0.024,
            1.45,
        ),
        Camera(
            3, True, True, 1, 0.22, (0.2, pi - 0.2, -1.1), (0.0, -0.12, 0.99), 0.18, (1.0, 1.0, 1.0), 0.95, 0.034, 1.55
        ),
        Camera(
            4, False, False, 2, 0.12, (0.0, pi, 1.3), (0.60, -0.55, 0.58), 0.50, (1.08, 1.06, 1.03), 1.10, 0.016, 1.30
        ),
        Camera(
            5,
            False,
            False,
            3,
            0.16,
            (-0.5, pi - 0.5, 1.5),
            (-0.65, -0.45, 0.61),
            0.54,
            (0.95, 1.00, 1.08),
            0.96,
            0.020,
            1.40,
        ),
        Camera(6, True, False, 4, 0.14, (0.1, pi, -1.4), (0.05, -0.08, 0.99), 0.12, (1.0, 1.0, 1.0), 1.05, 0.042, 1.70),
    )
}


@dataclass(frozen=True, slots=True)
class Shot:
    """Random numbers of one image. Positions are shares of the image; `spots` select windows of noise and scenery."""

    pose: Pose
    yaw: float
    pitch: float
    tall: float  # height of the person / height of the image
    middle: tuple[float, float]
    wide: float  # horizontal stretch of the crop
    light: tuple[float, float, float]
    gain: np.ndarray  # (3,)
    contrast: float
    noise: float
    softness: float
    unevenness: float
    depth_of_field: float  # share of the contrast that the background keeps
    fall_off: float  # infrared: loss of the beam towards its rim
    distance: float  # infrared: brightness of the person in the beam
    beam: tuple[float, float]
    occluder: int  # 0 none, 1 low object, 2 pole, 3 passing person
    occluder_place: tuple[float, float]
    occluder_cloth: np.ndarray  # (2, 4)
    spots: np.ndarray  # (8,)


def _dull(u: np.ndarray) -> np.ndarray:
    """(8,) shares -> (2, 4) reflectances of occluding objects and clothes, gray with a little color."""
    gray = 0.12 + 0.55 * u[[0, 4]][:, None]
    return np.concatenate([gray * (0.8 + 0.4 * u.reshape(2, 4)[:, 1:]), 0.10 + 0.65 * u[[1, 5]][:, None]], axis=1)


def take(camera: Camera, rng: np.random.Generator, difficulty: float) -> Shot:
    """Draw the random numbers of one image."""
    spread = 0.1 + 0.3 * difficulty + 1.0 * difficulty**2
    u, n = rng.random(40), rng.normal(size=24)
    heading = camera.headings[int(u[0] * len(camera.headings))] if u[1] > 0.85 - difficulty else 0.15 * n[0]
    yaw = heading + 0.28 * spread * n[1]
    pose = Pose(
        phase=2 * pi * u[2],
        stride=float(np.clip(1 + 0.25 * spread * n[2], 0.0, 1.6)) if u[3] > 0.15 else 0.12,
        head_turn=0.30 * spread * n[3],
        raised=(1.5 + 0.3 * n[4]) if u[4] < 0.10 * spread else 0.0,
        raised_side=1 if u[5] < 0.5 else -1,
        arm_out=0.06 * spread * abs(n[5]),
        carried=0.008 * spread * n[6],
    )
    occluder = 1 + int(u[6] * 3) if u[7] < 0.16 * spread else 0
    tint = 1 + 0.035 * spread * n[7:10]
    exposure = np.exp((0.10 if not camera.infrared else 0.16) * spread * n[10])
    return Shot(
        pose=pose,
        yaw=yaw,
        pitch=camera.pitch + 0.05 * spread * n[11],
        tall=float(np.clip(0.905 + 0.035 * spread * n[12], 0.72, 1.12)),
        middle=(0.5 + 0.035 * spread * n[13], 0.5 + 0.018 * spread * n[14]),
        wide=1 + 0.05 * spread * n[15],
        light=(camera.light[0] + 0.15 * spread * n[16], camera.light[1], camera.light[2]),
        gain=np.array(camera.gain) * tint * exposure,
        contrast=camera.contrast * (1 + 0.07 * spread * n[17]),
        noise=camera.noise * (0.5 + 0.5 * spread) * (0.7 + 0.6 * u[8]),
        softness=1 + (camera.softness - 1) * (0.4 + 0.6 * spread) * (0.5 + u[9]),
        unevenness=0.05 + 0.05 * spread * u[10],
        depth_of_field=0.25 + 0.6 * difficulty,
        fall_off=(0.25 + 0.45 * u[11]) * (0.5 + 0.5 * spread),
        distance=0.62 + 0.38 * u[12],
        beam=(0.5 + 0.18 * n[18], 0.42 + 0.14 * n[19]),
        occluder=occluder,
        occluder_place=(u[13], u[14]),
        occluder_cloth=_dull(u[15:23]),
        spots=u[24:32],
    )
