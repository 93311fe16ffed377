"""What a published metric counts and how it makes the CMC curve, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import DataError, UserError, nearest
from vireid.retrieval.metrics import Cmc

Junk = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Rule:
    """The junk rule of a published metric, its CMC curve and the camera numbers that the rule is written for."""

    junk: (
        Junk | None
    )  # query ids (Q,), query cameras, gallery ids (G,), gallery cameras -> (Q, G) bool; None: all count
    cmc: Cmc
    query_cameras: tuple[int, ...] = ()  # numbers that may occur; none: cameras are not used
    gallery_cameras: tuple[int, ...] = ()
    numbering: str = ""  # which side has which cameras, for error messages

    @property
    def uses_cameras(self) -> bool:
        return self.junk is not None

    def check_cameras(self, name: str, cameras: np.ndarray, known: tuple[int, ...]) -> None:
        """DataError for a camera number that the rule does not know: it would not be applied to those images."""
        strange = ~np.isin(cameras, known)
        if strange.any():
            row = int(strange.argmax())
            raise DataError(
                f"{name}: entry {row} is camera {cameras[row]} ({int(strange.sum())} such entries), expected one of"
                f" {known}: {self.numbering}"
            )


def same_place(query_ids, query_cameras, gallery_ids, gallery_cameras) -> np.ndarray:
    """SYSU-MM01: cameras 2 and 3 look at the same place, so a query of camera 3 never meets an image of camera 2,
    whoever is on it."""
    return _both((query_cameras == 3)[:, None], (gallery_cameras == 2)[None])


def same_camera(query_ids, query_cameras, gallery_ids, gallery_cameras) -> np.ndarray:
    """Nothing that the query's own camera saw, whoever is on it."""
    return query_cameras[:, None] == gallery_cameras[None]


def same_person_and_camera(query_ids, query_cameras, gallery_ids, gallery_cameras) -> np.ndarray:
    """LLCM: the visible and infrared images of one camera number come from one device; other people's images count."""
    return _both(query_ids[:, None] == gallery_ids[None], query_cameras[:, None] == gallery_cameras[None])


def _both(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left & right; numpy is twenty times faster with bytes where it has to broadcast."""
    return (left.view(np.uint8) & right.view(np.uint8)).view(bool)


RULES: Mapping[str, Rule] = {
    "sysu": Rule(
        same_place,
        "identity",
        query_cameras=(3, 6),
        gallery_cameras=(1, 2, 4, 5),
        numbering="SYSU-MM01 numbers its cameras from 1, queries are infrared (3, 6) and the gallery is visible"
        " (1, 2, 4, 5); there is no published rule for the other direction",
    ),
    "regdb": Rule(None, "image"),  # the released filter compares the constants 1 and 2: it never removes anything
    "llcm": Rule(
        same_person_and_camera,
        "identity",
        query_cameras=tuple(range(1, 10)),
        gallery_cameras=tuple(range(1, 10)),
        numbering="LLCM numbers its cameras from 1 to 9",
    ),
}


def rule_named(name: str) -> Rule:
    """The rule of a protocol; UserError with the nearest and all known names otherwise."""
    if name not in RULES:
        suggestion = nearest(str(name), RULES) or ";"
        raise UserError(f"no protocol is named {name!r}{suggestion} Known: {', '.join(RULES)}")
    return RULES[name]
