"""Joint positions of a walking person, in statures: x to the left, y up, z forward, feet at y = 0."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from vireid.synthetic.people import Body, Gait

JOINTS = (
    "neck",
    "crotch",
    "waist",
    "collar",
    "head_top",
    "chin",
    "crown_back",
    "nape",
    "shoulder_l",
    "elbow_l",
    "hand_l",
    "shoulder_r",
    "elbow_r",
    "hand_r",
    "hip_l",
    "knee_l",
    "ankle_l",
    "heel_l",
    "toe_l",
    "hip_r",
    "knee_r",
    "ankle_r",
    "heel_r",
    "toe_r",
    "skirt_hem",
    "hair_end",
    "lock_l",
    "lock_r",
    "lock_end_l",
    "lock_end_r",
    "pack_top",
    "pack_bottom",
    "strap_l",
    "strap_r",
    "strap_end_l",
    "strap_end_r",
    "satchel_top",
    "satchel_bottom",
    "sling_front",
    "sling_front_end",
    "sling_back",
    "sling_back_end",
    "brim",
    "brow",
)
INDEX = {name: position for position, name in enumerate(JOINTS)}


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of a person in one image; angles in radians."""

    phase: float  # of the walk, 0 to 2 pi
    stride: float  # factor of the stride of the gait
    head_turn: float
    raised: float  # elbow flexion added to one forearm
    raised_side: int  # -1 or 1
    arm_out: float
    carried: float  # sway of bags, statures


def joints(
    body: Body, gait: Gait, pose: Pose, *, hem: float, hair_end: float, satchel_side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (len(JOINTS), 3) and the mask (len(JOINTS),) of the joints that turn with the head."""
    p: dict[str, tuple[float, float, float]] = {}
    hip_y = body.legs
    thigh, shin = 0.475 * hip_y, 0.440 * hip_y
    for side, sign in (("l", 1.0), ("r", -1.0)):
        angle = pose.phase if sign > 0 else pose.phase + np.pi
        swing = gait.stride * pose.stride * sin(angle)
        flex = (
            0.08 + 0.9 * gait.stride * pose.stride * max(0.0, cos(angle)) + 0.25 * max(0.0, -sin(angle)) * pose.stride
        )
        hip = (sign * 0.52 * body.hip, hip_y, 0.0)
        out = (sign * gait.stance - hip[0] * 0.45) * 0.5
        knee = (hip[0] + out * 0.6, hip[1] - thigh * cos(swing), thigh * sin(swing))
        ankle = (knee[0] + out * 0.4, knee[1] - shin * cos(swing - flex), knee[2] + shin * sin(swing - flex))
        foot = 0.5 * (swing - flex)  # the sole lifts behind the body
        heel = (ankle[0], ankle[1] - 0.022, ankle[2] - 0.022)
        toe = (ankle[0] + sign * 0.018, heel[1] - 0.006 + 0.085 * sin(foot), ankle[2] + 0.088)
        for name, place in (("hip", hip), ("knee", knee), ("ankle", ankle), ("heel", heel), ("toe", toe)):
            p[f"{name}_{side}"] = place
        shoulder = (sign * (body.shoulder - 0.026), 0.800, 0.0)
        reach = -gait.arm_swing * pose.stride * sin(angle)
        bend = gait.elbow + 0.4 * max(0.0, reach) + (pose.raised if sign == pose.raised_side else 0.0)
        outward = 0.07 + pose.arm_out + 0.5 * max(0.0, body.waist - 0.085)
        elbow = (shoulder[0] + sign * 0.165 * sin(outward), shoulder[1] - 0.165 * cos(reach), 0.165 * sin(reach) - 0.01)
        hand = (
            elbow[0] - sign * 0.04 * sin(bend),
            elbow[1] - 0.185 * cos(reach + bend),
            elbow[2] + 0.185 * sin(reach + bend),
        )
        p[f"shoulder_{side}"], p[f"elbow_{side}"], p[f"hand_{side}"] = shoulder, elbow, hand
        p[f"strap_{side}"] = (sign * 0.62 * body.shoulder, 0.835, 0.045)
        p[f"strap_end_{side}"] = (sign * 0.78 * body.chest, 0.68, 0.05)
        p[f"lock_{side}"], p[f"lock_end_{side}"] = (
            (sign * 0.046, 0.93, 0.030),
            (sign * 0.056, max(hair_end, 0.70), 0.060),
        )
    back = -body.depth * body.chest
    size = body.head
    p.update(
        neck=(0, 0.845, 0),
        crotch=(0, hip_y - 0.045, 0),
        waist=(0, 0.61, 0),
        collar=(0, 0.875, 0.005),
        head_top=(0, 0.868 + 0.140 * size, 0.012),
        chin=(0, 0.868, 0.018),
        crown_back=(0, 0.872 + 0.142 * size, -0.012),
        nape=(0, 0.885, -0.022),
        skirt_hem=(0, hem, 0.01),
        hair_end=(0, hair_end, back * 0.75),
        pack_top=(0, 0.825, back - 0.045),
        pack_bottom=(0, 0.60 + pose.carried, back - 0.050),
        satchel_top=(satchel_side * (body.hip + 0.035), 0.585, 0.02 + pose.carried),
        brow=(0, 0.868 + 0.107 * size, 0.05),
        satchel_bottom=(satchel_side * (body.hip + 0.050), 0.455, 0.02 + 1.5 * pose.carried),
        sling_front=(-satchel_side * 0.66 * body.shoulder, 0.840, 0.035),
        sling_front_end=(satchel_side * body.hip, 0.60, 0.062),
        sling_back=(-satchel_side * 0.66 * body.shoulder, 0.840, -0.035),
        sling_back_end=(satchel_side * body.hip, 0.60, -0.062),
        brim=(0, 0.868 + 0.101 * size, 0.105),
    )
    places = np.array([p[name] for name in JOINTS])
    places[:, 2] += gait.lean * (places[:, 1] - 0.5) * (places[:, 1] > 0.55)  # the trunk leans from the hips
    head = np.zeros(len(JOINTS), bool)
    head[[INDEX[name] for name in ("head_top", "chin", "crown_back", "nape", "brim", "brow")]] = True
    places[INDEX["head_top"], 2] += 0.14 * sin(gait.nod)
    places[:, 1] -= min(p["toe_l"][1], p["toe_r"][1], p["heel_l"][1], p["heel_r"][1])
    return places, head
