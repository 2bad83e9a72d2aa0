"""Who is radiographed: sexes, builds, ages, visits, and which findings each visit shows.

Everything here is a pure function of (seed, patient, follow-up). The findings are drawn from one
stream of random numbers and the view, the exposure, the marker and the build from others, so that
none of these can tell anything about the findings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS
from chexnet.rng import keyed_generator

FIRST_NUMBER = 90_000_001
"""Patient number of the first phantom of seed 0; NIH's own numbers end at 30,805."""
PATIENTS_PER_SEED = 10_000
"""Numbers reserved for each seed, so that two sets never share a name."""
LAST_SEED = 998
"""The last seed whose numbers still have eight digits."""

PREVALENCE = {
    "Atelectasis": 0.10,
    "Consolidation": 0.08,
    "Infiltration": 0.10,
    "Pneumothorax": 0.09,
    "Edema": 0.08,
    "Emphysema": 0.08,
    "Fibrosis": 0.08,
    "Effusion": 0.085,
    "Pneumonia": 0.08,
    "Pleural_Thickening": 0.085,
    "Cardiomegaly": 0.085,
    "Nodule": 0.10,
    "Hernia": 0.075,
    "Mass": 0.085,
}
"""Chance of each finding at a visit before company; far above NIH's, so that small sets train."""
COMPANY = {
    "Edema": {"Effusion": 0.35, "Cardiomegaly": 0.35},
    "Cardiomegaly": {"Effusion": 0.15},
    "Pneumonia": {"Effusion": 0.12, "Infiltration": 0.12},
    "Effusion": {"Atelectasis": 0.20},
    "Mass": {"Nodule": 0.15},
    "Pneumothorax": {"Emphysema": 0.10},
}
"""Findings that bring others along, after the co-occurrences of Wang et al., CVPR 2017, fig. 1."""
HEALTHY = 0.39
"""Share of patients who start without a finding and seldom acquire one."""
PERSISTS = 0.65
"""Chance that a finding is still there at the next visit."""


@dataclass(frozen=True)
class Person:
    """What stays the same over a patient's visits.

    Attributes:
        number: patient number, eight digits.
        sex: `M` or `F`, as NIH writes it.
        age: whole years at the first visit.
        build: -1 slender to 1 stout.
        visits: number of images, 1 to 6.
    """

    number: int
    sex: str
    age: int
    build: float
    visits: int


@dataclass(frozen=True)
class Visit:
    """One radiograph of a patient.

    Attributes:
        name: file name as NIH writes it, `90000001_000.png`.
        follow_up: 0 for the first image.
        age: whole years.
        view: `PA` or `AP`.
        findings: finding to severity, above 0 (barely visible) to 1 (obvious).
    """

    name: str
    follow_up: int
    age: int
    view: str
    findings: Mapping[str, float]


def stream(seed: int, patient: int, *purpose: int) -> np.random.Generator:
    """Random numbers of one patient for one purpose, for example a layer and a follow-up.

    Args:
        seed: seed of the set.
        patient: 0 for the first patient of the set.
        purpose: numbers that tell this use from every other.
    """
    return keyed_generator("phantom", seed, patient, *purpose)


def patient_number(seed: int, patient: int) -> int:
    """Number of a patient in the file names.

    Raises:
        ConfigError: the seed or the patient is outside the reserved numbers.
    """
    if not 0 <= seed <= LAST_SEED:
        raise ConfigError(f"Found seed {seed}, expected 0 to {LAST_SEED}.")
    if not 0 <= patient < PATIENTS_PER_SEED:
        raise ConfigError(
            f"Found patient {patient}, expected 0 to {PATIENTS_PER_SEED - 1}: each seed has "
            f"{PATIENTS_PER_SEED:,} patient numbers. Draw more phantoms with another seed."
        )
    return FIRST_NUMBER + PATIENTS_PER_SEED * seed + patient


def person(seed: int, patient: int) -> Person:
    """The patient behind a number; a pure function of its arguments."""
    rng = stream(seed, patient, 1)
    return Person(
        number=patient_number(seed, patient),
        sex="M" if rng.random() < 0.56 else "F",
        age=int(np.clip(rng.normal(48, 16), 18, 90)),
        build=float(np.clip(rng.normal(0, 0.5), -1, 1)),
        visits=1 + int(rng.choice(6, p=[0.34, 0.25, 0.18, 0.11, 0.07, 0.05])),
    )


def visits(seed: int, patient: int) -> list[Visit]:
    """All visits of a patient, in order; findings persist, come and go between them."""
    who = person(seed, patient)
    story = stream(seed, patient, 2)
    views = stream(seed, patient, 3)
    healthy = story.random() < HEALTHY
    age, out = who.age, []
    findings: dict[str, float] = {}
    for follow_up in range(who.visits):
        findings = _next(findings, healthy, first=follow_up == 0, rng=story)
        if follow_up:
            age += int(views.random() < 0.45)
        view = "AP" if views.random() < 0.4 else "PA"
        name = f"{who.number:08d}_{follow_up:03d}.png"
        out.append(Visit(name, follow_up, age, view, dict(findings)))
    return out


def _next(
    before: Mapping[str, float], healthy: bool, first: bool, rng: np.random.Generator
) -> dict[str, float]:
    """Findings of the next visit, in canonical order.

    Every number is drawn whether it is used or not, so that one finding's luck does not shift
    another's.
    """
    chance = rng.random(len(FINDINGS))
    severity = 0.10 + 0.90 * rng.beta(1.3, 1.1, len(FINDINGS))
    stays = rng.random(len(FINDINGS))
    company = rng.random((len(FINDINGS), len(FINDINGS)))
    share = (0.03 if healthy else 1.55) * (1.0 if first else 0.30)
    now: dict[str, float] = {}
    for i, name in enumerate(FINDINGS):
        if name in before and stays[i] < PERSISTS:
            now[name] = before[name] + 0.3 * (severity[i] - 0.5)
        elif chance[i] < share * PREVALENCE[name]:
            now[name] = severity[i]
    for leader, followers in COMPANY.items():
        for follower, extra in followers.items():
            i, j = FINDINGS.index(leader), FINDINGS.index(follower)
            if leader in now and leader not in before and company[i, j] < extra:
                now.setdefault(follower, severity[j])
    return {name: float(np.clip(now[name], 0.10, 1.0)) for name in FINDINGS if name in now}
