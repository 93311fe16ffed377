"""Paint clothes and the head onto unrolled tubes: (rows down, columns around, red/green/blue/near infrared).

Everything is painted at twice the wanted size with hard edges and averaged down, so that a thin stripe becomes a pale
one instead of flickering. Columns run once around the body; the middle column is the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.synthetic.materials import CHANNELS
from vireid.synthetic.people import Garment, Hair, Outfit, Person

FINER = 2


@dataclass(frozen=True, slots=True)
class Tube:
    """Grid of one unrolled tube: `down` (2R, 1) statures from its upper end, `around` (1, 2U) statures, 0 in front."""

    down: np.ndarray
    around: np.ndarray
    girth: float

    @classmethod
    def grid(cls, rows: int, columns: int, *, length: float, girth: float, before: float = 0.0) -> Tube:
        """`before` is the length of the round end in front of the first joint."""
        down = (np.arange(rows * FINER) + 0.5) / (rows * FINER) * length - before
        around = ((np.arange(columns * FINER) + 0.5) / (columns * FINER) - 0.5) * girth
        return cls(down=down[:, None], around=around[None, :], girth=girth)

    def solid(self, reflectance: np.ndarray) -> np.ndarray:
        return np.broadcast_to(reflectance, (self.down.shape[0], self.around.shape[1], CHANNELS)).astype(np.float32)

    def cloth(self, garment: Garment, offset: float = 0.0) -> np.ndarray:
        """Paint the pattern of a garment, starting `offset` statures below its upper end."""
        layers = garment.pattern.layers(self.around, self.down + offset)
        return garment.dyes.astype(np.float32)[np.broadcast_to(layers, (self.down.shape[0], self.around.shape[1]))]


def average(fine: np.ndarray) -> np.ndarray:
    """Downsample and flatten a texture: (2R, 2U, 4) -> (4, R * U)."""
    rows, columns = fine.shape[0] // FINER, fine.shape[1] // FINER
    mean = fine.reshape(rows, FINER, columns, FINER, CHANNELS).mean(axis=(1, 3))
    return np.ascontiguousarray(mean.reshape(rows * columns, CHANNELS).T, dtype=np.float32)


def lay(picture: np.ndarray, mask: np.ndarray, reflectance: np.ndarray) -> None:
    """Overwrite the masked positions with one color or with another texture of the same size."""
    mask = np.broadcast_to(mask, picture.shape[:2])
    picture[mask] = reflectance[mask] if reflectance.ndim == 3 else reflectance


def trunk(tube: Tube, person: Person, *, hem: float, waist: float) -> np.ndarray:
    """Paint the upper garment down to `hem`, the lower one below it; neckline, opening, belt and emblem."""
    outfit, down, front = person.outfit, tube.down, np.abs(tube.around)
    upper = outfit.upper
    picture = tube.cloth(upper)
    trim, dark = upper.dyes[1].astype(np.float32), (upper.dyes[0] * 0.55).astype(np.float32)
    if upper.emblem is not None:
        lay(picture, upper.emblem.covers(tube.around, down, tube.girth), upper.dyes[upper.emblem_layer])
    PAINT_CUT[person.cut](tube, picture, outfit, trim, dark)
    skin = person.skin
    if outfit.neck == "v":
        lay(picture, down < 0.075 - 1.5 * front, skin)
    elif outfit.neck == "collar":
        lay(picture, (down < 0.035) & (front > 0.012 + 0.2 * down) & (front < 0.2 * tube.girth), trim)
        lay(picture, down < 0.045 - 2.5 * front, skin)
    lay(picture, down < 0.008, skin)
    below = down >= hem
    if person.attributes.skirt and outfit.one_piece:
        lay(picture, below, tube.cloth(upper))
    else:
        lay(picture, below, tube.cloth(outfit.skirt if person.attributes.skirt else outfit.lower, -waist))
    if outfit.belt is not None:
        lay(picture, (np.abs(down - waist) < 0.010) & below, outfit.belt)
    return picture


def _tee(tube: Tube, picture: np.ndarray, outfit: Outfit, trim: np.ndarray, dark: np.ndarray) -> None:
    lay(picture, tube.down < 0.016, trim)


def _shirt(tube: Tube, picture: np.ndarray, outfit: Outfit, trim: np.ndarray, dark: np.ndarray) -> None:
    front = np.abs(tube.around)
    lay(picture, (front < 0.010) & (tube.down > 0.02), trim)
    lay(picture, (front < 0.004) & (np.mod(tube.down, 0.04) < 0.010), dark)


def _open_jacket(tube: Tube, picture: np.ndarray, outfit: Outfit, trim: np.ndarray, dark: np.ndarray) -> None:
    front = np.abs(tube.around)
    opening = 0.020 + 0.13 * outfit.upper.length * (0.35 + tube.down)
    lay(picture, front < opening + 0.009, dark)
    lay(picture, front < opening, outfit.inner)


def _hood(tube: Tube, picture: np.ndarray, outfit: Outfit, trim: np.ndarray, dark: np.ndarray) -> None:
    front = np.abs(tube.around)
    pocket = (np.abs(tube.down - 0.25) < 0.045) & (front < 0.075)
    edge = (np.abs(tube.down - 0.25) < 0.038) & (front < 0.066)
    lay(picture, pocket & ~edge, dark)
    lay(picture, (np.abs(front - 0.018) < 0.003) & (tube.down < 0.10), trim)


def _coat(tube: Tube, picture: np.ndarray, outfit: Outfit, trim: np.ndarray, dark: np.ndarray) -> None:
    front = np.abs(tube.around)
    lay(picture, front < 0.004, dark)
    lay(picture, (np.abs(front - 0.028) < 0.006) & (np.mod(tube.down, 0.07) < 0.014), trim)
    lay(picture, (np.abs(tube.down - 0.27) < 0.004) & (front > 0.03) & (front < 0.11), dark)


PAINT_CUT = {"tee": _tee, "shirt": _shirt, "open_jacket": _open_jacket, "hood": _hood, "coat": _coat}


def sleeve(tube: Tube, person: Person, *, end: float, offset: float) -> np.ndarray:
    """Paint a sleeve: cloth down to `end`, a cuff, then skin."""
    picture = tube.cloth(person.outfit.upper, offset)
    lay(picture, tube.down > end - 0.012, person.outfit.upper.dyes[0] * 0.8)
    lay(picture, tube.down > end, person.skin)
    return picture


def leg(tube: Tube, person: Person, *, end: float, offset: float, shoe_from: float) -> np.ndarray:
    """Paint a leg: trouser leg (bare if `end` <= 0), sock and boot."""
    outfit = person.outfit
    picture = tube.cloth(outfit.lower, offset)
    lay(picture, tube.down > end - 0.010, outfit.lower.dyes[0] * 0.8)
    lay(picture, tube.down > end, person.skin)
    lay(picture, (tube.down > shoe_from - 0.03) & (tube.down > end), outfit.socks)
    lay(picture, (tube.down > shoe_from) & (tube.down > end), outfit.shoes)
    return picture


def skirt(tube: Tube, person: Person, *, offset: float) -> np.ndarray:
    """Paint a pleated skirt, in the cloth of the upper garment if it is a dress."""
    outfit = person.outfit
    garment = outfit.upper if outfit.one_piece else outfit.skirt
    picture = tube.cloth(garment, offset if outfit.one_piece else 0.0)
    pleats = 1 - 0.10 * (np.mod(tube.around / tube.girth * 14, 1) < 0.3)
    return picture * pleats[..., None].astype(np.float32)


def coat_tail(tube: Tube, person: Person, *, offset: float) -> np.ndarray:
    """Paint the lower half of a coat, slightly open at the front."""
    picture = tube.cloth(person.outfit.upper, offset)
    lay(picture, np.abs(tube.around) < 0.006, person.outfit.upper.dyes[0] * 0.5)
    lay(picture, np.abs(tube.around) < 0.05 * (tube.down - 0.08), person.outfit.lower.dyes[0])
    return picture


def head(tube: Tube, person: Person) -> np.ndarray:
    """Paint the head: face, hair, cap and glasses."""
    style, attributes = person.hair, person.attributes
    v, u = np.clip(tube.down / 0.14, 0, 1), np.abs(tube.around) / tube.girth  # v: crown 0, chin 1; u: nose 0, back 0.5
    picture = tube.solid(person.skin)
    shade = np.array([0.72, 0.66, 0.64, 0.80], np.float32)
    lay(picture, (np.abs(u - 0.075) < 0.028) & (np.abs(v - 0.50) < 0.03), np.array([0.10, 0.08, 0.08, 0.25]))  # eyes
    lay(
        picture,
        (np.abs(u - 0.075) < 0.042) & (np.abs(v - 0.43) < 0.022),
        0.5 * (style.reflectance + person.skin * shade),
    )
    lay(picture, (u < 0.016) & (np.abs(v - 0.60) < 0.07), person.skin * shade)
    lips = [0.78, 0.36, 0.40, 0.75] if attributes.female else [0.74, 0.55, 0.54, 0.88]
    lay(picture, (u < 0.045) & (np.abs(v - 0.79) < 0.022), person.skin * np.array(lips))
    if style.beard and not attributes.female:
        lay(
            picture,
            (v > 0.72 + 0.25 * np.maximum(0, 0.05 - u)) & (u < 0.24) & ~((u < 0.045) & (np.abs(v - 0.79) < 0.03)),
            style.reflectance,
        )
    lay(picture, _hair_mask(style, u, v, attributes.long_hair), style.reflectance)
    if attributes.glasses:
        _glasses(picture, u, v, person)
    if person.outfit.hat is not None:
        lay(picture, v < 0.30, person.outfit.hat)
    return picture


def _hair_mask(style: Hair, u: np.ndarray, v: np.ndarray, long: bool) -> np.ndarray:
    if long:
        return (v < style.fringe) | ((u > 0.15) & (v < 0.95)) | (u > 0.25)
    if style.short_style == 0:
        return (v < style.fringe) | ((u > 0.20) & (v < 0.50)) | ((u > 0.30) & (v < 0.78))
    if style.short_style == 1:
        return (v < style.fringe + 0.04) | ((u > 0.16) & (v < 0.70)) | ((u > 0.30) & (v < 0.92))
    return ((u > 0.17) & (v > 0.18) & (v < 0.55)) | ((u > 0.30) & (v < 0.75))


def _glasses(picture: np.ndarray, u: np.ndarray, v: np.ndarray, person: Person) -> None:
    frame = np.array([0.06, 0.06, 0.07, 0.07])
    tall = 0.075 * person.glasses_weight + 0.02
    ring = (np.abs(u - 0.085) < 0.066) & (np.abs(v - 0.51) < tall + 0.03)
    lens = (np.abs(u - 0.085) < 0.046) & (np.abs(v - 0.51) < tall - 0.005)
    lay(picture, ring, frame)
    lay(picture, lens, person.skin * 0.45)
    lay(picture, (u < 0.25) & (np.abs(v - 0.47) < 0.026), frame)


def pack(tube: Tube, person: Person) -> np.ndarray:
    """Paint a backpack with pocket and piping."""
    bags, v, u = person.bags, tube.down / 0.25, np.abs(np.abs(tube.around) / tube.girth - 0.5)
    picture = tube.solid(bags.backpack)
    lay(picture, (np.abs(v - 0.72) < 0.17) & (u < 0.16), bags.backpack_trim)
    lay(picture, (np.abs(v - 0.35) < 0.025) & (u < 0.2), bags.backpack * 0.5)
    lay(picture, np.abs(v - 0.53) < 0.02, bags.backpack * 0.45)
    return picture


def plait(tube: Tube, person: Person) -> np.ndarray:
    """Paint plaited hair."""
    picture = tube.solid(person.hair.reflectance)
    lay(picture, np.mod(tube.down, 0.035) < 0.012, person.hair.reflectance * 0.6)
    return picture
