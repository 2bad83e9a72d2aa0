"""The figures of one scoring, as data and as a table of text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chexnet.evaluation.clustered import ClusteredAuroc, clustered_auroc, holm
from chexnet.evaluation.intervals import (
    NO_INTERVAL,
    Interval,
    Intervals,
    PatientBootstrap,
    bootstrap_auroc,
)
from chexnet.evaluation.metrics import Mean, auroc, average_precision, log_loss, mean_of
from chexnet.evaluation.scores import Scores
from chexnet.labels import FINDINGS


@dataclass(frozen=True)
class Summary:
    """Figures of one scoring; arrays have one value a class, NaN where there is none.

    Attributes:
        classes: label of each value.
        images: number of images.
        patients: number of patients.
        positives: positive images of each class.
        labelled: images of each class of which the table says whether it is there.
        auroc: of each class.
        average_precision: of each class.
        findings: mean AUROC over the 14 findings; it chooses the best weights.
        all_classes: mean AUROC over all classes.
        loss: mean binary cross-entropy.
        intervals: 95 % intervals, or None where none were asked for.
        replicates: bootstrap draws behind the intervals.
        clustered: of each class, see `clustered_auroc`; empty where no intervals were asked for.
    """

    classes: list[str]
    images: int
    patients: int
    positives: np.ndarray
    labelled: np.ndarray
    auroc: np.ndarray
    average_precision: np.ndarray
    findings: Mean
    all_classes: Mean
    loss: float
    intervals: Intervals | None = None
    replicates: int = 0
    clustered: Mapping[str, ClusteredAuroc] = field(default_factory=dict)

    def clustered_interval_if_rare(self, name: str) -> Interval:
        """The clustered interval of a class with under ten positive (negative) patients.

        `n/a` for every other class: there the bootstrap's interval keeps its promise.
        """
        return self.clustered[name].interval_if_rare if name in self.clustered else NO_INTERVAL

    @property
    def p_of_chance(self) -> dict[str, float]:
        """p-value of each finding's AUROC being 0.5, held for all findings at once (Holm)."""
        values = {name: figure.p_of_chance for name, figure in self.clustered.items()}
        return holm({name: p for name, p in values.items() if name in FINDINGS})

    def as_dict(self) -> dict[str, Any]:
        """The figures under the keys that JSON and weights files have always had."""
        intervals, adjusted = self.intervals, self.p_of_chance
        all_labelled = (self.labelled == self.images).all()  # as NIH's table does
        classes: dict[str, dict[str, Any]] = {}
        for i, name in enumerate(self.classes):
            classes[name] = {"positives": self.positives[i]}
            classes[name] |= {} if all_labelled else {"labelled": self.labelled[i]}
            classes[name] |= {
                "auroc": self.auroc[i],
                "average_precision": self.average_precision[i],
            }
            if intervals:
                classes[name] |= {
                    "interval": intervals.classes[name],
                    "average_precision_interval": intervals.average_precision[name],
                    "clustered_interval": self.clustered_interval_if_rare(name),
                    "p_of_chance_holm": adjusted.get(name),
                }
        means: dict[str, dict[str, Any]] = {}
        for key, mean in (("findings", self.findings), ("rows", self.all_classes)):
            means[key] = {"value": mean.value, "of": mean.n_defined, "all": mean.n_classes}
        if intervals:
            means["findings"]["interval"] = intervals.findings
            means["rows"]["interval"] = intervals.all_classes
        return {
            "images": self.images,
            "patients": self.patients,
            "classes": classes,
            "mean_auroc": means,
            "loss": self.loss,
        }


def summarise(scores: Scores, *, replicates: int = 0, seed: int = 0) -> Summary:
    """Compute the figures; with `replicates`, also their intervals by patient bootstrap."""
    values = auroc(scores.probabilities, scores.targets)
    bootstrap = PatientBootstrap(scores.patients, replicates, seed)
    clustered = {}
    if replicates:
        clustered = {
            name: clustered_auroc(given, truth, bootstrap.unit)
            for name, given, truth in scores.columns()
        }
    return Summary(
        classes=scores.classes,
        images=len(scores.images),
        patients=len(set(scores.patients)),
        positives=(scores.targets == 1).sum(axis=0),
        labelled=scores.labelled,
        auroc=values,
        average_precision=average_precision(scores.probabilities, scores.targets),
        findings=mean_of(values, scores.classes, findings_only=True),
        all_classes=mean_of(values, scores.classes, findings_only=False),
        loss=log_loss(scores.probabilities, scores.targets),
        intervals=bootstrap_auroc(scores, bootstrap) if replicates else None,
        replicates=replicates,
        clustered=clustered,
    )
