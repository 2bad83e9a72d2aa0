"""How far the same patient's other images alone carry a score: what a leaking split is worth.

The patient-memory baseline reads no pixel. A held-out image's score for a finding is the mean label
of the same patient's images outside the held-out part, smoothed by one pseudo-image at the
prevalence: (positives + prevalence) / (images + 1). Where no patient stands on both sides every
image has the same score, and the AUROC is exactly 0.5.

Shapes: N held-out images, D findings, P patients.
"""

from dataclasses import dataclass, field

import numpy as np

from chexnet.data.datasets import targets_of
from chexnet.data.folder import DataFolder
from chexnet.data.splits import make_split
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import Summary, summarise
from chexnet.labels import FINDINGS


@dataclass(frozen=True)
class Leakage:
    """What one held-out part of one split shares with the rest, under the keys of `leakage.json`.

    Attributes:
        scheme: `official`, `patient` or `image`.
        part: `val` or `test`.
        share: images of the part among all.
        images: share of the held-out images whose patient stands outside as well.
        patients: the same share of the held-out patients.
        memory: figures of the patient-memory baseline.
    """

    scheme: str = field(metadata={"json": "split"})
    part: str
    share: float
    images: float = field(metadata={"json": "images_with_patient_outside"})
    patients: float = field(metadata={"json": "patients_outside"})
    memory: Summary


def leakage(
    folder: DataFolder, scheme: str, part: str, *, seed: int = 0, replicates: int = 1000
) -> Leakage:
    """Measure one part of one split; labels are read, pictures are not.

    Args:
        folder: see `read_folder`.
        scheme: see `make_split`.
        part: `val` or `test`; everything outside of it is what a patient is remembered by.
        seed: of the split and of the intervals.
        replicates: bootstrap draws.

    Raises:
        DataError: see `make_split`.
    """
    split = make_split(folder, scheme, seed, allow_leak=True)
    held = split.rows[part]
    outside = np.setdiff1d(np.concatenate(list(split.rows.values())), held)
    patients, unit = np.unique(folder.table["patient"], return_inverse=True)
    classes = {name: index for index, name in enumerate(FINDINGS)}
    targets = targets_of(folder.table["labels"].tolist(), classes)  # of NIH's, which says all
    count = np.bincount(unit[outside], minlength=len(patients))
    remembered = count[unit[held]]
    scores = Scores(
        images=folder.table["image"].iloc[held].tolist(),
        patients=patients[unit[held]].tolist(),
        classes=list(FINDINGS),
        probabilities=memory_scores(unit[outside], targets[outside], unit[held], len(patients)),
        targets=targets[held].astype(np.int8),
    )
    return Leakage(
        scheme=split.scheme,
        part=part,
        share=len(held) / len(folder.table),
        images=float((remembered > 0).mean()),
        patients=float((count[np.unique(unit[held])] > 0).mean()),
        memory=summarise(scores, replicates=replicates, seed=seed),
    )


def memory_scores(
    known: np.ndarray, targets: np.ndarray, asked: np.ndarray, patients: int
) -> np.ndarray:
    """The baseline's scores.

    Args:
        known: patient number of each remembered image, int (M,).
        targets: their labels, 0 or 1, (M, D).
        asked: patient number of each held-out image, int (N,).
        patients: numbers there are.

    Returns:
        float64 (N, D) in [0, 1].
    """
    count = np.bincount(known, minlength=patients)
    positives = np.stack([np.bincount(known, column, patients) for column in targets.T], axis=1)
    prevalence = targets.mean(axis=0, dtype=np.float64)
    scores: np.ndarray = (positives[asked] + prevalence) / (count[asked] + 1)[:, None]
    return scores
