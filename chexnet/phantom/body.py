"""Everything a healthy chest shows: soft tissue, bones, heart, vessels, airways."""

import numpy as np

from chexnet.phantom.chest import CANVAS, Chest, smoothstep


def draw_body(chest: Chest, person: np.random.Generator, visit: np.random.Generator) -> None:
    """Fill the layers of a healthy chest.

    Args:
        chest: laid out, its layers empty.
        person: stream of what stays over the visits (the vessels' tree).
        visit: stream of this picture (bowel gas, the arms).
    """
    _soft_tissue(chest, visit)
    _mediastinum(chest)
    _abdomen(chest, visit)
    _ribs(chest)
    _spine(chest)
    _shoulders(chest, visit)
    _vessels(chest, person)


def _soft_tissue(chest: Chest, rng: np.random.Generator) -> None:
    a = chest.anatomy
    out = a.width + a.fat
    arms = rng.uniform(0.02, 0.10) + 0.06 * a.scapula
    neck = rng.uniform(0.10, 0.13)
    pit = rng.uniform(0.30, 0.36)  # height of the armpit
    drop = rng.uniform(-0.02, 0.03)  # height of the shoulders
    v = np.array([-0.3, -0.02, 0.03, 0.07, 0.12, 0.19, 0.27, pit, pit + 0.1, 0.6, 0.8, 1.3])
    half = [neck, neck, neck + 0.05, 0.30, 0.40, 0.46, 0.47, out + 0.035, out + 0.006, out, out]
    half += [out + 0.3 * a.fat]
    v[1:5] += drop
    side = np.interp(chest.v, v, half).astype(np.float32)
    body = side - chest.across
    round_ = np.sqrt(np.clip(body / 0.20, 0, 1))
    trunk = 0.9 + 1.75 * round_ + 4.0 * (a.fat - 0.06)
    trunk *= smoothstep(body / 0.015 + 0.5)
    # Shoulders are thinner than the trunk, the upper lung zones are not.
    arm = smoothstep((chest.across - side - arms) / 0.02)
    arm = arm * smoothstep((chest.v - pit + 0.10) / 0.08)
    arm *= np.clip(1 - ((chest.across - side - arms - 0.08) / 0.10) ** 2, 0, 1)
    chest.solid += trunk + 1.7 * arm
    if a.breast:
        for sign in (-1, 1):
            du, dv = chest.u - sign * 0.19, chest.v - 0.60
            rho = np.sqrt(
                (du / 0.15) ** 2 + (dv / np.where(dv > 0, np.float32(0.11), np.float32(0.2))) ** 2
            )
            chest.solid += a.breast * 1.2 * np.sqrt(np.clip(1 - rho, 0, 1))


def _mediastinum(chest: Chest) -> None:
    a = chest.anatomy
    span = chest.middle + 0  # negative inside
    inside = smoothstep(-span / 0.03 + 0.4)
    upper = smoothstep((chest.v - a.apex + 0.08) / 0.1)
    chest.solid += 0.32 * inside * upper * (1 - 0.85 * chest.heart)
    thick = np.sqrt(np.clip(1 - chest.heart_rho, 0, 1))
    chest.solid += (0.42 * thick + 0.06) * chest.heart
    # Windpipe and the two main bronchi are air within soft tissue.
    fork = 0.345
    lean = 0.006 + chest.pose.twist
    tube = np.exp(-np.square(np.square((chest.u + lean) / 0.017))) * smoothstep(
        (fork - chest.v) / 0.02 + 0.5
    )
    air = 0.42 * tube
    for sign, rise in ((-1, 1.0), (1, 0.75)):
        along = (chest.u + lean) * sign
        off = chest.v - fork - along * rise
        keep = smoothstep(along / 0.01) * smoothstep((0.07 - along) / 0.02)
        air += 0.22 * np.exp(-((off / 0.014) ** 2)) * keep
    chest.solid -= air * smoothstep((chest.v + 0.02) / 0.1)


def _abdomen(chest: Chest, rng: np.random.Generator) -> None:
    a = chest.anatomy
    below = smoothstep(-chest.floor / 0.10)
    chest.solid += 0.55 * below * (chest.across < a.width + a.fat)
    size = 0.03 + 0.07 * a.gas
    # Gas in the stomach under the left dome, level below where the patient stands.
    cu, cv = 0.17 + rng.normal(0, 0.015), a.dome[1] + 0.03 + 0.5 * size
    rho = ((chest.u - cu) / (1.5 * size)) ** 2 + ((chest.v - cv) / (0.6 * size)) ** 2
    bubble = smoothstep((1 - rho) / 0.3) * smoothstep(-chest.floor / 0.012)
    chest.solid -= (0.25 + 0.75 * a.gas) * bubble
    for _ in range(int(rng.integers(0, 5))):
        cu, cv, r = (
            rng.uniform(0.05, 0.3),
            a.dome[1] + rng.uniform(0.12, 0.25),
            rng.uniform(0.02, 0.04),
        )
        rho = ((chest.u - cu) ** 2 + (chest.v - cv) ** 2) / (r * r)
        chest.solid -= rng.uniform(0.15, 0.5) * np.clip(1 - rho, 0, 1) ** 0.5


def _ribs(chest: Chest) -> None:
    """Ribs as tilted rings: the back half level, the front half steep and fainter."""
    a = chest.anatomy
    gap = a.rib_gap
    w = np.clip(chest.across / np.maximum(chest.side, 0.05), 0, 1.0)
    bend = np.sqrt(np.clip(1 - w * w, 0.0, 1))
    drop = a.rib_drop * gap * np.clip(chest.side / a.width, 0.3, 1)
    rise = np.minimum(w * drop / np.maximum(bend, 0.15) / np.maximum(chest.side, 0.05), 1.6)
    steep = np.sqrt(1 + rise * rise)
    lung_side = smoothstep((chest.wall + 0.016) / 0.008)
    rear_end = smoothstep((chest.across - 0.03) / 0.02)
    for back in (True, False):
        ring = chest.v - drop * (1 - bend if back else 1 + bend)
        index = (ring - a.apex) / gap + a.rib_phase * 0.4
        off = np.abs(index - np.round(index)) * gap / steep
        half = (0.0118 if back else 0.0150) * (0.85 + 0.15 * w)
        # Cortex is denser than the marrow: brighter edges.
        t = off / half
        profile = smoothstep((1 - t) / 0.22 + 0.3) * (0.62 + 0.38 * np.clip(t, 0, 1) ** 3)
        order = np.round(index)
        real = (order >= 0) & (order <= (10 if back else 6))
        if back:
            strength = (0.30 - 0.14 * chest.heart) * rear_end
        else:
            strength = 0.20 * smoothstep((chest.across - 0.10) / 0.10)
        strength = strength * (1 + 0.35 * w**6)
        chest.solid += a.bone * profile * strength * lung_side * real
    rim = np.exp(-(((chest.wall + 0.004) / 0.006) ** 2)) * (chest.floor > -0.1)
    chest.solid += 0.10 * a.bone * rim


def _spine(chest: Chest) -> None:
    a = chest.anatomy
    curve = a.spine_curve * np.sin(3 * chest.v)
    off = np.abs(chest.u - curve)
    beat = (chest.v / 0.052) % 1.0
    body = smoothstep((0.040 + 0.004 * np.cos(2 * np.pi * beat) - off) / 0.016 + 0.5)
    body *= (1 - 0.35 * chest.heart) * (1 - 0.5 * smoothstep(-chest.floor / 0.08))
    disc = np.exp(-(((beat - 0.5) / 0.10) ** 2))
    chest.solid += a.bone * body * (0.30 - 0.12 * disc)
    pedicle = np.exp(-(((off - 0.024) / 0.006) ** 2 + ((beat - 0.2) / 0.16) ** 2))
    process = np.exp(-((off / 0.007) ** 2 + ((beat - 0.75) / 0.22) ** 2))
    chest.solid += a.bone * (0.12 * pedicle + 0.12 * process)


def _shoulders(chest: Chest, rng: np.random.Generator) -> None:
    """Clavicles, scapulae and upper arms, as outlined polygons on one canvas."""
    a = chest.anatomy
    picture, pen = chest.canvas()
    raised = rng.uniform(-0.02, 0.03)
    for sign in (-1, 1):
        t = np.linspace(0, 1, 14)
        u = sign * (0.028 + 0.30 * t) + chest.pose.twist * (1 - t) * 2
        v = a.clavicle - 0.075 * t + 0.022 * np.sin(2 * np.pi * t) - raised * t
        thick = 0.011 + 0.004 * np.cos(2 * np.pi * t)
        top, low = chest.points(u, v - thick), chest.points(u, v + thick)
        shape = top + low[::-1]
        pen.polygon(shape, fill=120)
        pen.line([*shape, shape[0]], fill=205, width=4)
        # Scapula: inner border, lower tip, outer border.
        shift = sign * (0.36 - 0.10 * a.scapula)
        su = shift + sign * np.array([-0.04, -0.055, -0.02, 0.0, 0.035, 0.06, 0.05])
        sv = np.array([0.16, 0.27, 0.41, 0.43, 0.33, 0.23, 0.17])
        shape = chest.points(su, sv)
        pen.polygon(shape, fill=38)
        pen.line(shape, fill=105, width=7)
        spine = chest.points(shift + sign * np.array([-0.05, 0.08]), np.array([0.235, 0.145]))
        pen.line(spine, fill=85, width=13)
        head = shift + sign * 0.105
        (x, y), (x2, _) = chest.points(np.array([head, head + 0.042]), np.array([0.19, 0.19]))
        r = abs(x2 - x)
        pen.ellipse([x - r, y - r, x + r, y + r], fill=105, outline=170, width=5)
        shaft = sign * np.array([0.0, 0.06, 0.055, -0.03]) + head
        lean = 0.06 + 0.05 * a.scapula
        shape = chest.points(
            np.array(
                [
                    shaft[0] - sign * 0.02,
                    shaft[0] + sign * 0.035,
                    shaft[0] + sign * lean * 1.5,
                    shaft[0] + sign * (lean * 1.5 - 0.045),
                ]
            ),
            np.array([0.2, 0.2, 0.62, 0.62]),
        )
        pen.polygon(shape, fill=100, outline=165, width=6)
    chest.solid += 0.85 * a.bone * chest.layer(picture, blur=2.0)


def _vessels(chest: Chest, rng: np.random.Generator) -> None:
    """Branching vessels from the hila, thinning to the edge; larger below than above."""
    a = chest.anatomy
    all_, pen = chest.canvas()
    big, big_pen = chest.canvas()
    for side in (0, 1):
        sign = 1 if side else -1
        n = 12
        share = (np.arange(n) + rng.uniform(0.1, 0.9, n)) / n
        angle = np.pi * (-0.46 + 0.95 * share)
        u = np.full(n, 0.066) + rng.uniform(-0.01, 0.012, n)
        v = 0.420 - 0.012 * side + 0.075 * (share - 0.5) + rng.normal(0, 0.006, n)
        radius = 0.0058 + 0.0022 * share
        for level in range(6):
            length = rng.uniform(0.5, 1.1, len(u)) * (0.075 if level else 0.085) * 0.87**level
            bend = angle[:, None] + rng.normal(0, 0.20, (len(u), 4)).cumsum(axis=1)
            # Gravity of the picture: the vessels sweep outwards and down.
            bend += np.linspace(0, 0.10, 4) * (np.cos(angle) > 0)[:, None]
            step = length[:, None] / 4
            us = np.c_[u, u[:, None] + np.cumsum(np.cos(bend) * step, axis=1)]
            vs = np.c_[v, v[:, None] + np.cumsum(np.sin(bend) * step, axis=1)]
            tone = np.clip(235 * (radius / 0.0072) ** 0.6, 25, 240).astype(int)
            width = np.maximum(1, np.round(1.1 * radius * CANVAS)).astype(int)
            x, y = chest.pose.picture(sign * us, vs)
            paths = np.stack([x, y], axis=-1).reshape(len(u), -1) * CANVAS
            for path, t, w in zip(paths.tolist(), tone.tolist(), width.tolist(), strict=True):
                pen.line(path, fill=t, width=w, joint="curve" if w > 2 else None)
                if 0 < level <= 2:
                    big_pen.line(path, fill=255, width=max(3, w))
            turn = rng.uniform(0.15, 0.65, (2, len(u))) * np.array([[1], [-1]])
            thin = radius * rng.uniform(0.60, 0.82, (2, len(u)))
            goes = (rng.random((2, len(u))) < (1 if level < 2 else 0.78)).ravel()
            u, v = (np.tile(end[:, -1], 2)[goes] for end in (us, vs))
            angle, radius = (bend[:, -1] + turn).ravel()[goes], thin.ravel()[goes]
        # Vessels seen end on.
        for r in rng.uniform(0.003, 0.006, 5):
            (spot,) = chest.points([sign * rng.uniform(0.085, 0.13)], [rng.uniform(0.36, 0.52)])
            k = r * CANVAS
            pen.ellipse([spot[0] - k, spot[1] - k, spot[0] + k, spot[1] + k], fill=215)
    layer = chest.layer(all_, blur=1.8)
    chest.bronchi = chest.layer(big, blur=2.0)
    fade = smoothstep(chest.wall / 0.05)
    grain = 0.03 * chest.cloud(rng, 90) + 0.03 * chest.cloud(rng, 30)
    chest.vessels += a.markings * (0.42 * layer * (0.35 + 0.65 * fade) + grain) * chest.lung
    for side in (0, 1):
        sign = 1 if side else -1
        du, dv = chest.u * sign - 0.072, chest.v - 0.43 + 0.014 * side
        hilum = np.exp(-(((du + 0.25 * dv) / 0.024) ** 2) - (dv / 0.055) ** 2)
        chest.vessels += 0.42 * hilum * chest.lung * chest.half(side)
    chest.vessels *= 1 - 0.6 * chest.heart
