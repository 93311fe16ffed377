"""Junk rules of the published metrics: which gallery images are ignored, and how the CMC curve is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import DataError, UserError, nearest
from vireid.retrieval.metrics import Cmc

Junk = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Rule:
    """A published metric.

    Attributes:
        junk: Function of query ids (Q,), query cameras, gallery ids (G,) and gallery cameras that returns (Q, G) bool,
            True where a pair is ignored; None ignores nothing.
        cmc: Whether CMC ranks identities or images.
        query_cameras: Camera numbers that the rule is defined for; empty if cameras are not used.
        gallery_cameras: The same for the gallery.
        numbering: Which side has which cameras, for error messages.
    """

    junk: Junk | None
    cmc: Cmc
    query_cameras: tuple[int, ...] = ()
    gallery_cameras: tuple[int, ...] = ()
    numbering: str = ""

    @property
    def uses_cameras(self) -> bool:
        return self.junk is not None

    def check_cameras(self, name: str, cameras: np.ndarray, known: tuple[int, ...]) -> None:
        """Raise DataError for a camera number that the rule is not defined for."""
        unknown = ~np.isin(cameras, known)
        if unknown.any():
            row = int(unknown.argmax())
            raise DataError(
                f"{name}: entry {row} is camera {cameras[row]} ({int(unknown.sum())} such entries), expected one of"
                f" {known}: {self.numbering}"
            )


def same_place(query_ids, query_cameras, gallery_ids, gallery_cameras) -> np.ndarray:
    """SYSU-MM01: ignore all images of camera 2 for queries of camera 3, because both cameras show the same place."""
    return _both((query_cameras == 3)[:, None], (gallery_cameras == 2)[None])


def same_camera(query_ids, query_cameras, gallery_ids, gallery_cameras) -> np.ndarray:
    """Ignore all images of the query's camera, whatever their identity."""
    return query_cameras[:, None] == gallery_cameras[None]


def same_identity_and_camera(query_ids, query_cameras, gallery_ids, gallery_cameras) -> np.ndarray:
    """LLCM: ignore images of the query's identity and camera.

    The visible and infrared images of one camera number are from one device. Images of other identities count.
    """
    return _both(query_ids[:, None] == gallery_ids[None], query_cameras[:, None] == gallery_cameras[None])


def _both(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Compute left & right; NumPy broadcasts bytes twenty times faster than bool."""
    return (left.view(np.uint8) & right.view(np.uint8)).view(bool)


SYSU_QUERY_CAMERAS = (3, 6)  # infrared
SYSU_GALLERY_CAMERAS = (1, 2, 4, 5)  # visible
LLCM_CAMERAS = tuple(range(1, 10))

RULES: Mapping[str, Rule] = {
    "sysu": Rule(
        same_place,
        "identity",
        query_cameras=SYSU_QUERY_CAMERAS,
        gallery_cameras=SYSU_GALLERY_CAMERAS,
        numbering="SYSU-MM01 numbers its cameras from 1, queries are infrared (3, 6) and the gallery is visible"
        " (1, 2, 4, 5); there is no published rule for the other direction",
    ),
    "regdb": Rule(None, "image"),  # the released filter compares the constants 1 and 2: it never removes anything
    "llcm": Rule(
        same_identity_and_camera,
        "identity",
        query_cameras=LLCM_CAMERAS,
        gallery_cameras=LLCM_CAMERAS,
        numbering="LLCM numbers its cameras from 1 to 9",
    ),
}


def rule_named(name: str) -> Rule:
    """Return the rule of a protocol.

    Raises:
        UserError: For an unknown name, with the nearest and all known names.
    """
    if name not in RULES:
        suggestion = nearest(str(name), RULES) or ";"
        raise UserError(f"unknown protocol {name!r}{suggestion} Known: {', '.join(RULES)}")
    return RULES[name]
