"""Rows of dev.bench: the bootstrap behind the intervals."""

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import roc_auc_score

from chexnet.evaluation.intervals import PatientBootstrap, replicate_aurocs
from chexnet.evaluation.scores import Scores
from chexnet.labels import FINDINGS
from dev.bench.rows import Row, in_turn
from dev.bench.setting import Setting

IMAGES, PATIENTS = 25_596, 2_797
"""Of NIH's official test list."""
REPLICATES = 1000
LIBRARY_DRAWS = 10
"""Of which the loop's 1,000 are reckoned: it would take minutes."""


def rows(setting: Setting) -> Iterator[Row]:
    """All draws beside scikit-learn in a loop."""
    random = np.random.default_rng(0)
    shape = (IMAGES, len(FINDINGS))
    targets = (random.random(shape) < random.uniform(0.002, 0.2, len(FINDINGS))).astype(np.int8)
    given = random.random(shape) ** (1 / (1 + targets))
    patients = [str(p) for p in random.integers(0, PATIENTS, IMAGES)]
    scores = Scores([""] * IMAGES, patients, list(FINDINGS), given, targets)

    def library() -> None:
        for _ in range(LIBRARY_DRAWS):
            chosen = random.integers(0, IMAGES, IMAGES)
            for column in range(len(FINDINGS)):
                roc_auc_score(targets[chosen, column], given[chosen, column])

    ours, other = in_turn(
        lambda: replicate_aurocs(scores, PatientBootstrap(patients, REPLICATES)),
        library,
        setting.repeats,
    )
    yield Row(
        work=f"bootstrap, {REPLICATES:,} draws x {IMAGES:,} images x {len(FINDINGS)}",
        unit="s",
        ours=ours,
        other=[time * REPLICATES / LIBRARY_DRAWS for time in other],
        beside=f"roc_auc_score in a loop (from {LIBRARY_DRAWS} draws)",
        target="at least 100x",
    )
