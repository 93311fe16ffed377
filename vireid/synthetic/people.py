"""Sample identities: body, gait, hair, clothes and bags as functions of (seed, number).

Independent of cameras, pixels and folders. `Person` has the eight attributes in a field of their own, so that an
identity can be rendered with one attribute changed (`Person.but`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from vireid.synthetic import materials
from vireid.synthetic.patterns import SHAPES, Emblem, Pattern

# First words of the seed sequences; a new use of random numbers gets a new number, so that nothing else changes.
PERSON_STREAM, BAGS_STREAM, SHOT_STREAM, LAYOUT_STREAM, SCENE_STREAM = range(5)


def stream(seed: int, *words: int) -> np.random.Generator:
    """Return an independent random generator for (seed, use, identity, camera, image, ...)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


@dataclass(frozen=True, slots=True)
class Attributes:
    """The eight binary attributes in the row order of the released SYSU-MM01 files."""

    female: bool
    long_hair: bool
    glasses: bool
    long_sleeve: bool
    skirt: bool  # dress or skirt, otherwise trousers or shorts
    long_lower: bool  # below the knee
    backpack: bool
    satchel: bool

    def bits(self) -> np.ndarray:
        """Return the attributes as (8,) uint8."""
        return np.array([getattr(self, field.name) for field in fields(self)], np.uint8)


@dataclass(frozen=True, slots=True)
class Body:
    """Half-widths and lengths of a body, in statures (the height of the person is 1)."""

    shoulder: float
    chest: float
    waist: float
    hip: float
    legs: float  # height of the hip joint
    limb: float  # thickness of arms and legs, 1 = average
    head: float  # size of the head, 1 = average
    depth: float  # thickness of the trunk over its width


@dataclass(frozen=True, slots=True)
class Gait:
    """Walk of a person; angles in radians."""

    stride: float
    arm_swing: float
    elbow: float
    stance: float  # sideways distance of the feet from the middle line, statures
    lean: float
    nod: float
    phone: bool  # often walks with one forearm raised


@dataclass(frozen=True, slots=True)
class Hair:
    """Hair of a person; `fringe` is its length on the forehead, `volume` its distance from the head."""

    reflectance: np.ndarray  # (4,)
    fringe: float
    volume: float
    long_style: int  # loose, behind the shoulders / loose, in front of them / tail / plait
    long_length: float
    short_style: int  # cropped / covering the ears / receding
    beard: bool


@dataclass(frozen=True, slots=True)
class Garment:
    """`dyes` is (3, 4): the three layers of the pattern in red, green, blue and near infrared."""

    pattern: Pattern
    dyes: np.ndarray
    emblem: Emblem | None
    emblem_layer: int
    fit: float  # 0 tight to 1 wide
    length: float  # 0 to 1: hem of a shirt, of a skirt within its class, of a sleeve within its class


@dataclass(frozen=True, slots=True)
class Outfit:
    """What hangs in the wardrobe; the attributes say which of it is worn and how long it is."""

    upper: Garment
    lower: Garment
    skirt: Garment
    inner: np.ndarray  # (4,) cloth under an open jacket
    cut: str  # one of CUTS
    neck: str  # crew, v, collar
    one_piece: bool  # with a skirt: a dress of the upper cloth
    belt: np.ndarray | None
    shoes: np.ndarray  # (4,)
    socks: np.ndarray
    hat: np.ndarray | None
    boots: bool


@dataclass(frozen=True, slots=True)
class Bags:
    """Reflectances (4,) and sizes (1 = average) of a backpack and a satchel."""

    backpack: np.ndarray  # (4,)
    backpack_trim: np.ndarray
    backpack_size: float
    satchel: np.ndarray
    satchel_size: float
    satchel_side: int  # -1 or 1: the side of the hip


@dataclass(frozen=True, slots=True)
class Person:
    """One identity, independent of cameras and images."""

    number: int
    attributes: Attributes
    frame: Body  # before the proportions of `female` are applied
    gait: Gait
    hair: Hair
    outfit: Outfit
    bags: Bags
    skin: np.ndarray  # (4,)
    glasses_weight: float

    @property
    def body(self) -> Body:
        build = _FEMALE if self.attributes.female else _MALE
        return replace(self.frame, **{name: getattr(self.frame, name) * factor for name, factor in build.items()})

    @property
    def cut(self) -> str:
        """Cut of the upper garment; a coat over bare legs would look like a dress and becomes a jacket."""
        look = self.attributes
        coat_hides = look.skirt or not (look.long_sleeve and look.long_lower)
        return "open_jacket" if self.outfit.cut == "coat" and coat_hides else self.outfit.cut

    def but(self, **changes: bool) -> Person:
        """Return the person with some attributes changed: `person.but(glasses=True)`."""
        return replace(self, attributes=replace(self.attributes, **changes))


_FEMALE = {"shoulder": 0.91, "chest": 0.95, "waist": 0.91, "hip": 1.06, "limb": 0.94}
_MALE = {"shoulder": 1.09, "chest": 1.06, "waist": 1.09, "hip": 0.96, "limb": 1.06}

CUTS = ("tee", "shirt", "open_jacket", "hood", "coat")


def sample_person(seed: int, number: int, difficulty: float = 0.5) -> Person:
    """Sample identity `number`; attributes are as frequent as in the released annotation of SYSU-MM01."""
    rng = stream(seed, PERSON_STREAM, number)
    attributes = _attributes(rng)
    return Person(
        number=number,
        attributes=attributes,
        frame=_body(rng, difficulty),
        gait=_gait(rng, difficulty),
        hair=_hair(rng),
        outfit=_outfit(rng, difficulty),
        bags=_bags(rng),
        skin=materials.skin(rng),
        glasses_weight=float(rng.uniform(0.6, 1.0)),
    )


def attributes_in_camera(seed: int, person: Person, camera: int) -> Attributes:
    """Return the attributes in one camera: only bags change between cameras, as in the released files."""
    rng = stream(seed, BAGS_STREAM, person.number, camera)
    backpack, satchel = person.attributes.backpack, person.attributes.satchel
    varies = stream(seed, BAGS_STREAM, person.number).random()  # a third of the identities is sometimes without
    if varies < 0.34:
        backpack = bool(rng.random() < 0.5) and not satchel
    elif varies < 0.40:
        satchel = bool(rng.random() < 0.5) and not backpack
    return replace(person.attributes, backpack=backpack, satchel=satchel)


def _attributes(rng: np.random.Generator) -> Attributes:
    female = rng.random() < 0.44
    skirt = female and rng.random() < 0.25
    backpack = rng.random() < 0.42
    return Attributes(
        female=bool(female),
        long_hair=bool(rng.random() < (0.80 if female else 0.06)),
        glasses=bool(rng.random() < 0.50),
        long_sleeve=bool(rng.random() < 0.42),
        skirt=bool(skirt),
        long_lower=bool(rng.random() < (0.35 if skirt else 0.68)),
        backpack=bool(backpack),
        satchel=bool(not backpack and rng.random() < 0.18),
    )


def _body(rng: np.random.Generator, difficulty: float) -> Body:
    spread = 1.3 - 0.6 * difficulty
    build = rng.normal(0, 0.09) * spread  # slim to stout

    def vary(middle: float, share: float) -> float:
        return float(middle * (1 + np.clip(rng.normal(0, share) * spread, -0.25, 0.25)))

    return Body(
        shoulder=vary(0.116, 0.05) * (1 + 0.5 * build),
        chest=vary(0.098, 0.04) * (1 + build),
        waist=vary(0.083, 0.05) * (1 + 1.4 * build),
        hip=vary(0.095, 0.04) * (1 + build),
        legs=vary(0.505, 0.025),
        limb=vary(0.99, 0.07) * (1 + build),
        head=vary(1.0, 0.045),
        depth=float(np.clip(0.66 + 0.8 * build + rng.normal(0, 0.03), 0.5, 0.95)),
    )


def _gait(rng: np.random.Generator, difficulty: float) -> Gait:
    spread = 1.3 - 0.6 * difficulty
    return Gait(
        stride=float(np.clip(rng.normal(0.42, 0.10 * spread), 0.1, 0.7)),
        arm_swing=float(np.clip(rng.normal(0.35, 0.14 * spread), 0, 0.8)),
        elbow=float(np.clip(rng.normal(0.35, 0.20 * spread), 0.05, 1.3)),
        stance=float(np.clip(rng.normal(0.028, 0.011 * spread), 0.004, 0.06)),
        lean=float(rng.normal(0.02, 0.03 * spread)),
        nod=float(np.clip(rng.normal(0.05, 0.10 * spread), -0.2, 0.4)),
        phone=bool(rng.random() < 0.12),
    )


def _hair(rng: np.random.Generator) -> Hair:
    return Hair(
        reflectance=materials.hair(rng),
        fringe=float(rng.uniform(0.12, 0.40)),
        volume=float(rng.uniform(0.0, 1.0)),
        long_style=int(rng.integers(4)),
        long_length=float(rng.uniform(0.0, 1.0)),
        short_style=int(rng.choice(3, p=[0.45, 0.40, 0.15])),
        beard=bool(rng.random() < 0.22),
    )


def _garment(rng: np.random.Generator, difficulty: float, *, lower: bool) -> Garment:
    plain_share = (0.50 if lower else 0.16) + 0.30 * (difficulty - 0.5)
    neutral_share = float(np.clip(0.30 + 0.4 * (difficulty - 0.5), 0, 1))
    kinds = (
        ["stripes", "checks", "plaid", "side_panels", "print"]
        if lower
        else ["stripes", "checks", "plaid", "dots", "print", "zigzag", "blocks", "side_panels"]
    )
    kind = "plain" if rng.random() < plain_share else kinds[rng.integers(len(kinds))]
    angle = rng.choice(
        [0.0, np.pi / 2, np.pi / 4, -np.pi / 4], p=[0.1, 0.8, 0.05, 0.05] if lower else [0.6, 0.2, 0.1, 0.1]
    )
    pattern = Pattern(
        kind=kind,
        period=float(np.exp(rng.uniform(np.log(0.04), np.log(0.13)))),
        duty=float(rng.uniform(0.3, 0.7)),
        angle=float(angle),
        phases=tuple(float(p) for p in rng.random(12)),
    )
    base = materials.denim(rng) if lower and rng.random() < 0.45 else materials.dye(rng, neutral_share)
    emblem = None
    if not lower and rng.random() < (0.55 if kind == "plain" else 0.12):
        emblem = Emblem(
            shape=list(SHAPES)[rng.integers(len(SHAPES))],
            on_back=bool(rng.random() < 0.3),
            down=float(rng.uniform(0.10, 0.20)),
            aside=float(rng.choice([0.0, 0.0, 0.045, -0.045])),
            size=float(rng.uniform(0.022, 0.065)),
        )
    return Garment(
        pattern=pattern,
        dyes=materials.palette(rng, base, neutral_share),
        emblem=emblem,
        emblem_layer=int(rng.integers(1, 3)),
        fit=float(rng.beta(1.6, 1.8)),
        length=float(rng.random()),
    )


def _outfit(rng: np.random.Generator, difficulty: float) -> Outfit:
    neutral_share = float(np.clip(0.45 + 0.4 * (difficulty - 0.5), 0, 1))
    return Outfit(
        upper=_garment(rng, difficulty, lower=False),
        lower=_garment(rng, difficulty, lower=True),
        skirt=_garment(rng, difficulty, lower=False),
        inner=materials.dye(rng, neutral_share),
        cut=CUTS[rng.choice(len(CUTS), p=[0.34, 0.22, 0.20, 0.14, 0.10])],
        neck=("crew", "v", "collar")[rng.integers(3)],
        one_piece=bool(rng.random() < 0.5),
        belt=materials.dye(rng, neutral_share) if rng.random() < 0.35 else None,
        shoes=materials.dye(rng, neutral_share),
        socks=materials.dye(rng, neutral_share),
        hat=materials.dye(rng, neutral_share) if rng.random() < 0.09 else None,
        boots=bool(rng.random() < 0.15),
    )


def _bags(rng: np.random.Generator) -> Bags:
    return Bags(
        backpack=materials.dye(rng, 0.5),
        backpack_trim=materials.dye(rng, 0.3),
        backpack_size=float(rng.uniform(0.8, 1.2)),
        satchel=materials.dye(rng, 0.5),
        satchel_size=float(rng.uniform(0.8, 1.25)),
        satchel_side=int(rng.choice([-1, 1])),
    )
