"""The numbers that describe one chest, and how a visit changes them.

Body coordinates: `u` runs from the spine (0) to the patient's left (positive, the right of the
picture), `v` downwards; the unit is the width of the picture before the visit's pose, and
`CM` of it is one centimetre, so that a chest is about 29 cm wide inside.
"""

from dataclasses import dataclass, replace

import numpy as np

CM = 0.025
"""One centimetre in body units: the picture is 40 cm wide, close to a 43 cm detector."""


@dataclass(frozen=True)
class Anatomy:
    """One chest; lengths in body units, pairs are (right, left) of the patient.

    Attributes:
        width: greatest half-width of the chest, inside the ribs.
        apex: height of the top of the lungs.
        dome: heights of the diaphragm's domes; the right one stands higher.
        sulcus: how far the costophrenic angles lie below the domes; small when flattened.
        heart_ratio: width of the heart over that of the chest; over 0.5 is enlarged.
        heart_tilt: angle of the heart's long axis, radians.
        fat: thickness of the soft tissue outside the ribs.
        breast: thickness of the breasts' shadow, 0 for none.
        bone: contrast of the bones, around 1.
        rib_gap: distance between neighbouring ribs.
        rib_drop: how far a rib falls from the spine to the side.
        rib_phase: place of the first rib, in gaps.
        markings: contrast of the vessels, around 1.
        knob: size of the aortic knob, around 1.
        spine_curve: sideways curve of the spine.
        gas: size of the stomach's bubble, 0 to 1.
        scapula: 0 when the arms are forward (scapulae beside the lungs), 1 when over the lungs.
        clavicle: height of the clavicles' inner ends.
        aeration: how much air the lungs hold, 1 for a full breath.
    """

    width: float
    apex: float
    dome: tuple[float, float]
    sulcus: tuple[float, float]
    heart_ratio: float
    heart_tilt: float
    fat: float
    breast: float
    bone: float
    rib_gap: float
    rib_drop: float
    rib_phase: float
    markings: float
    knob: float
    spine_curve: float
    gas: float
    scapula: float
    clavicle: float
    aeration: float


@dataclass(frozen=True)
class Pose:
    """How the chest stands before the detector.

    Attributes:
        scale: size on the picture, around 1.
        angle: turn in the plane of the picture, radians.
        shift: (x, y) move of the chest's middle, in widths of the picture.
        twist: turn about the spine: moves clavicles and heart sideways against the spine.
    """

    scale: float
    angle: float
    shift: tuple[float, float]
    twist: float

    def body(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Body coordinates (u, v) of places in the picture (0 to 1)."""
        c, s = np.cos(self.angle) / self.scale, np.sin(self.angle) / self.scale
        x, y = x - 0.5 - self.shift[0], y - 0.5 - self.shift[1]
        return c * x + s * y, c * y - s * x + 0.5

    def picture(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in the picture (x, y), 0 to 1, of body coordinates."""
        c, s = np.cos(self.angle) * self.scale, np.sin(self.angle) * self.scale
        v = v - 0.5
        return c * u - s * v + 0.5 + self.shift[0], s * u + c * v + 0.5 + self.shift[1]


def draw_anatomy(sex: str, build: float, age: int, rng: np.random.Generator) -> Anatomy:
    """Draw a patient's healthy chest.

    Args:
        sex: `M` or `F`; women's chests are smaller on average.
        build: -1 slender to 1 stout: more fat, a higher diaphragm, a lying heart.
        age: years; the aortic knob grows and the bones fade with it.
        rng: the patient's stream.
    """
    male = sex == "M"
    width = rng.normal(0.355 if male else 0.335, 0.012) + 0.008 * build
    dome = rng.normal(0.675, 0.018) - 0.02 * build
    return Anatomy(
        width=width,
        apex=rng.normal(0.125, 0.012),
        dome=(dome, dome + rng.uniform(0.008, 0.035)),
        sulcus=(rng.uniform(0.085, 0.115), rng.uniform(0.08, 0.11)),
        heart_ratio=float(np.clip(rng.normal(0.435, 0.028) + 0.012 * build, 0.37, 0.475)),
        heart_tilt=rng.normal(0.62, 0.10) - 0.15 * build,
        fat=0.045 + 0.03 * (build + 1) / 2 + rng.uniform(0, 0.015),
        breast=0.0 if male else rng.uniform(0.15, 0.5) + 0.1 * build,
        bone=rng.normal(1.0, 0.18) - 0.004 * (age - 50),
        rib_gap=rng.normal(0.066, 0.003),
        rib_drop=rng.uniform(1.7, 2.4),
        rib_phase=rng.random(),
        markings=rng.uniform(0.8, 1.2),
        knob=rng.uniform(0.7, 1.1) + 0.006 * (age - 50),
        spine_curve=rng.normal(0, 0.008),
        gas=rng.random(),
        scapula=rng.uniform(0, 0.35),
        clavicle=rng.normal(0.215, 0.012),
        aeration=1.0,
    )


def at_visit(base: Anatomy, view: str, rng: np.random.Generator) -> tuple[Anatomy, Pose]:
    """The same chest on another day: another breath, another stance, another view.

    In AP pictures the heart lies further from the detector and looks larger, breath is shallower,
    clavicles stand higher and scapulae lie over the lungs (Goodman, Felson's Principles of Chest
    Roentgenology, chapter on the normal radiograph).
    """
    frontal = view == "PA"
    breath = float(np.clip(rng.normal(0 if frontal else -0.025, 0.02), -0.07, 0.035))
    depth = 1.0 if frontal else 0.9
    anatomy = replace(
        base,
        dome=(base.dome[0] + breath, base.dome[1] + breath),
        sulcus=(base.sulcus[0] * depth, base.sulcus[1] * depth),
        heart_ratio=base.heart_ratio * (1.0 if frontal else 1.04) * (1 - 0.6 * breath),
        gas=float(np.clip(base.gas * (1.0 if frontal else 0.6) + rng.normal(0, 0.15), 0, 1)),
        scapula=float(np.clip(base.scapula + (0 if frontal else 0.65), 0, 1)),
        clavicle=base.clavicle - (0 if frontal else rng.uniform(0.02, 0.06)),
        aeration=float(np.clip(rng.normal(0.93 if frontal else 0.86, 0.07), 0.7, 1.05)),
    )
    pose = Pose(
        scale=float(np.clip(rng.normal(1.09 if frontal else 1.04, 0.075), 0.86, 1.24)),
        angle=rng.normal(0, 0.03 if frontal else 0.06),
        shift=tuple(np.clip(rng.normal((0, 0.025), (0.030, 0.035)), -0.07, 0.09).tolist()),
        twist=rng.normal(0, 0.006 if frontal else 0.013),
    )
    return anatomy, pose
