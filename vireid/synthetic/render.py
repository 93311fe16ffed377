"""Render one image: a posed figure in front of a scene, with illumination, occlusion, blur and sensor noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np
from PIL import Image
from scipy import ndimage

from vireid.synthetic import strips
from vireid.synthetic.cameras import Camera, Shot
from vireid.synthetic.people import SCENE_STREAM, stream
from vireid.synthetic.scenes import FLOOR, HEIGHT, WIDTH, scene
from vireid.synthetic.sewing import Figure
from vireid.synthetic.skeleton import joints
from vireid.synthetic.strips import ANGLE, NORMAL_ACROSS, NORMAL_FORWARD, SIDES, Canvas

CREASES = 12


@dataclass(frozen=True, slots=True)
class Tables:
    """Random fields of all images of one size; each image uses a window of them."""

    creases: np.ndarray  # (CREASES, R, SIDES) about 0
    noise: np.ndarray  # (n,) standard normal
    uneven: np.ndarray  # (n, m) smooth, about 0
    rows: np.ndarray  # (H, 1) -1 to 1
    columns: np.ndarray  # (1, W) -1 to 1


def tables(seed: int, height: int, width: int, rows: int) -> Tables:
    """Draw the random fields; `rows` is the number of texture rows of the figures."""
    rng = stream(seed, SCENE_STREAM, 1_000)
    creases = np.stack(
        [ndimage.gaussian_filter(rng.normal(size=(rows, SIDES)), (rows / 24, SIDES / 9)) for _ in range(CREASES)]
    )
    creases *= 0.085 / creases.std()
    uneven = ndimage.gaussian_filter(rng.normal(size=(height * 3, width * 4)), height / 9)
    return Tables(
        creases=creases.astype(np.float32),
        noise=rng.standard_normal(height * width * 8, np.float32),
        uneven=(uneven / uneven.std()).astype(np.float32),
        rows=np.linspace(-1, 1, height, dtype=np.float32)[:, None],
        columns=np.linspace(-1, 1, width, dtype=np.float32)[None, :],
    )


def render(figure: Figure, camera: Camera, shot: Shot, shared: Tables, *, seed: int) -> np.ndarray:
    """Render an image (H, W, 3) uint8; the three channels of an infrared image are equal."""
    height, width = shared.rows.shape[0], shared.columns.shape[1]
    canvas = Canvas(_background(camera, shot, height, width, seed))
    places, depth, scale = _project(figure, camera, shot, height, width)
    _ground_shadow(canvas.planes, places, shared)
    _draw(canvas, figure, camera, shot, shared, places, depth, scale)
    if shot.occluder:
        _occlude(canvas, camera, shot)
    return _sensor(canvas.planes, camera, shot, shared)


def _background(camera: Camera, shot: Shot, height: int, width: int, seed: int) -> np.ndarray:
    """(C, H, W): a window of the scene with the ground at the feet of the person."""
    picture = scene(seed, camera.scene, camera.indoor)[camera.infrared]
    tall = 250 + 120 * shot.spots[0]
    wide = tall * width / height
    bottom = min(FLOOR + 60 + 150 * shot.spots[1], HEIGHT)
    left = shot.spots[2] * (WIDTH - wide)
    cut = picture.resize(
        (width, height), Image.Resampling.BILINEAR, box=(left, max(0, bottom - tall), left + wide, bottom)
    )
    values = np.asarray(cut, np.float32) * (shot.depth_of_field / 255)
    values += np.float32((1 - shot.depth_of_field) * (0.35 if camera.infrared else 0.50))
    return values[None].copy() if camera.infrared else np.ascontiguousarray(values.transpose(2, 0, 1))


def _project(
    figure: Figure, camera: Camera, shot: Shot, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Joints in pixels (J, 2), their distance towards the camera (J,) in statures, and pixels per stature."""
    person = figure.person
    places, head = joints(
        person.body,
        person.gait,
        shot.pose,
        hem=figure.hem,
        hair_end=figure.hair_end,
        satchel_side=person.bags.satchel_side,
    )
    turn = np.where(head, shot.yaw + shot.pose.head_turn, shot.yaw)
    c, s = np.cos(turn), np.sin(turn)
    x, y, z = places.T
    side, near = x * c + z * s, z * c - x * s
    up = y * cos(shot.pitch) - near * sin(shot.pitch)
    nearer = 1 + 0.10 * (y - 0.5) * sin(shot.pitch) * 3 + 0.12 * near  # a lens close by enlarges the head
    side, up = side * nearer, 0.5 + (up - 0.5) * nearer
    low, high = up[:41].min(), up.max() + 0.012
    scale = shot.tall * height / (high - low)
    out = np.empty((len(x), 2))
    out[:, 0] = shot.middle[0] * width + (side - side[:24].mean()) * scale * shot.wide
    out[:, 1] = shot.middle[1] * height - (up - (low + high) / 2) * scale
    return out, near, scale


def _ground_shadow(planes: np.ndarray, places: np.ndarray, shared: Tables) -> None:
    height, width = planes.shape[1:]
    feet = places[18:24]  # both ankles to toes and what lies between
    y, x = feet[:, 1].max() / height * 2 - 1, feet[:, 0].mean() / width * 2 - 1
    top = int(max(0, (y + 1 - 0.14) / 2 * height))
    if top >= height:
        return
    rows, columns = (shared.rows[top:] - y) / 0.05, (shared.columns - x) / 0.38
    planes[:, top:] *= 1 - 0.55 * np.exp(-(rows * rows)) * np.exp(-(columns * columns))


def _draw(
    canvas: Canvas,
    figure: Figure,
    camera: Camera,
    shot: Shot,
    shared: Tables,
    places: np.ndarray,
    near: np.ndarray,
    scale: float,
) -> None:
    turn = shot.yaw + figure.turns * shot.pose.head_turn
    half = figure.half * (scale * np.sqrt(np.cos(turn) ** 2 + (figure.depth * np.sin(turn)) ** 2))[:, None]
    half = half.astype(np.float32)
    half[:, 0] = half[:, -1] = -2  # nothing beyond the ends
    inverse = strips.steps_per_pixel(half)
    first, last = places[figure.start], places[figure.end]
    along = last - first
    length = np.hypot(along[:, 0], along[:, 1]) + 1e-3
    along /= length[:, None]
    first = first - along * (figure.caps[:, :1] * scale)
    length = length + figure.caps.sum(axis=1) * scale
    columns = (np.mod((ANGLE - turn[:, None]) / (2 * np.pi) + 0.5, 1.0) * figure.columns).astype(np.intp)
    np.minimum(columns, figure.columns - 1, out=columns)

    lamp = along[:, 1] * shot.light[0] - along[:, 0] * shot.light[1]  # light along the sideways normal of each strip
    lit = lamp[:, None].astype(np.float32) * NORMAL_ACROSS + np.float32(shot.light[2]) * NORMAL_FORWARD
    shade = np.maximum(lit, 0) * np.float32(1.12 - camera.ambient) + np.float32(camera.ambient)
    shade *= 0.80 + 0.20 * NORMAL_FORWARD  # less sky reaches the rims
    which = (np.arange(len(length)) * 7 + int(shot.spots[3] * 997)) % CREASES
    light = (1 + figure.creases[:, None, None].astype(np.float32) * shared.creases[which]) * shade[:, None, :]
    light = light.reshape(len(length), -1)

    textures = figure.infrared if camera.infrared else figure.visible
    nearness = near[figure.start] + near[figure.end] + 2 * figure.order
    reach = half.max(axis=1)
    for k in np.argsort(nearness, kind="stable"):
        canvas.strip(
            first[k].tolist(),
            along[k].tolist(),
            float(length[k]),
            float(reach[k]),
            half[k],
            inverse[k],
            textures[k],
            columns[k],
            light[k],
        )


def _plain_strip(
    canvas: Canvas, x: float, top: float, bottom: float, wide: float, reflectance: np.ndarray, ends: float
) -> None:
    rows = 24
    place = (np.arange(rows) + 0.5) / rows
    half = (wide * np.clip(np.minimum(place, 1 - place) / max(ends, 1e-3), 0.05, 1) ** 0.5).astype(np.float32)
    half[0] = half[-1] = -2
    light = np.tile(0.45 + 0.55 * NORMAL_FORWARD, rows)
    canvas.strip(
        (x, top),
        (0.0, 1.0),
        bottom - top,
        wide,
        half,
        strips.steps_per_pixel(half),
        np.repeat(reflectance.astype(np.float32)[:, None], rows, axis=1),
        np.zeros(SIDES, np.intp),
        light,
    )


def _occlude(canvas: Canvas, camera: Camera, shot: Shot) -> None:
    """Draw an object or a person between the person and the camera."""
    width, height = canvas.width, canvas.height
    cloth = shot.occluder_cloth[:, 3:] if camera.infrared else shot.occluder_cloth[:, :3]
    a, b = shot.occluder_place
    if shot.occluder == 1:  # a low wall, a bench, a suitcase
        top = (0.95 - 0.30 * b) * height
        _plain_strip(canvas, a * width, top, height * 1.3, (0.25 + 0.35 * b) * width, cloth[0], 0.01)
    elif shot.occluder == 2:  # a pole or the edge of a door
        _plain_strip(
            canvas, (0.12 + 0.76 * a) * width, -0.1 * height, 1.1 * height, (0.04 + 0.06 * b) * width, cloth[0], 0.01
        )
    else:  # a passing person at the edge
        x = (-0.08 + 0.16 * b) * width if a < 0.5 else (0.92 + 0.16 * b) * width
        skin = np.array([0.62, 0.47, 0.40]) if len(cloth[0]) == 3 else np.array([0.68])
        for foot in (-0.07, 0.07):
            _plain_strip(canvas, x + foot * width, 0.50 * height, 1.06 * height, 0.085 * width, cloth[1], 0.03)
        _plain_strip(canvas, x, 0.01 * height, 0.18 * height, 0.085 * width, skin, 0.5)
        _plain_strip(canvas, x, 0.00 * height, 0.10 * height, 0.090 * width, skin * 0.2, 0.5)
        _plain_strip(canvas, x, 0.165 * height, 0.58 * height, 0.20 * width, cloth[0], 0.12)
        for arm in (-0.22, 0.22):
            _plain_strip(canvas, x + arm * width, 0.19 * height, 0.60 * height, 0.055 * width, cloth[0] * 0.9, 0.10)


def _sensor(planes: np.ndarray, camera: Camera, shot: Shot, shared: Tables) -> np.ndarray:
    """Apply illumination, contrast, blur and noise, and quantize to uint8."""
    channels, height, width = planes.shape
    top, left = (
        int(s * n) for s, n in zip(shot.spots[4:6], (shared.uneven.shape[0] - height, shared.uneven.shape[1] - width))
    )
    factor = 1 + shot.unevenness * shared.uneven[top : top + height, left : left + width]
    if camera.infrared:
        x, y = (shared.columns - (2 * shot.beam[0] - 1)) * 0.75, shared.rows - (2 * shot.beam[1] - 1)
        factor *= shot.distance * np.maximum(1.08 - shot.fall_off * (x * x + y * y), 0.12)
        factor *= np.float32(shot.gain[0])
        planes = planes * factor
        planes = planes * (1.30 - 0.30 * np.minimum(planes, 1))  # bright skin and cloth bloom a little
    else:
        planes = planes * factor
        planes *= shot.gain.astype(np.float32)[:, None, None]
    planes *= np.float32(shot.contrast * 255)
    planes += np.float32(128 * (1 - shot.contrast))
    np.clip(planes, 0, 255, out=planes)
    pixels = planes.astype(np.uint8)
    image = Image.fromarray(pixels[0] if channels == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    small = (max(8, round(width / shot.softness)), max(16, round(height / shot.softness)))
    values = np.asarray(image.resize(small, Image.Resampling.BILINEAR))  # a far person covers few sensor pixels
    start = int(shot.spots[6] * (len(shared.noise) - values.size))
    noisy = values + shared.noise[start : start + values.size].reshape(values.shape) * np.float32(255 * shot.noise)
    np.clip(noisy, 0, 255, out=noisy)
    image = Image.fromarray(noisy.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return np.repeat(pixels[..., None], 3, axis=2) if channels == 1 else pixels
