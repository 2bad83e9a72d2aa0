"""What heatmaps make of twins: whether the map says that the logit changed where the drawing did.

Of each pair:

- explained: share of the logit's change that the map puts into touched cells,
  sum over touched of (M_with - M_without) / (z_with - z_without). Only the closed form has it: its
  signed contributions M add up to the logit less the bias, so the share is exact. 1 is perfect.
- inside: share of the heat of the picture with the finding in touched cells; the rest lies where
  nothing changed. Every method has it. Chance is the share of cells that are touched.
- in box, outside: share of the pixels in the finding's boxes, and outside of them, that changed.
- probability: how much it rose (calibrated where the weights file has a calibration).

Of the first `RANKED` patients, over `SEVERITIES`: Spearman's rank correlation of severity with the
logit, and with the heat inside.

Shapes: P pairs, h w cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.special import expit
from scipy.stats import spearmanr

from chexnet.evaluation.calibration import Calibration
from chexnet.evaluation.intervals import Interval, PatientBootstrap
from chexnet.evaluation.twins import (
    SEED,
    SEVERITIES,
    changed_pixels,
    draw_twin,
    inside_share,
    touched_cells,
)
from chexnet.explain import CLOSED_FORM, explain
from chexnet.grad_cam import package_heatmaps
from chexnet.labels import FINDINGS
from chexnet.model import DenseNet121
from chexnet.phantom.patients import person
from chexnet.transforms import Preprocessing, normalise

MAIN_SEVERITY = 0.6
"""Of what is reported pair by pair."""
RANKED = 15
"""Patients with all of `SEVERITIES`, five times the drawings of one; the others have the main."""
RESHAPING = ("Cardiomegaly", "Emphysema", "Atelectasis", "Fibrosis")
"""They move the heart or the diaphragm, so that pixels change all over the chest: shown apart."""
CONTROLS = ("untrained", "edges")
LOCAL, ANATOMY = "Drawn in place", "Change the anatomy"
"""Rows of all findings but `RESHAPING`, and of these."""


@dataclass(frozen=True)
class TwinScores:
    """One value a pair, in the order of patients, then findings, then severities.

    Attributes:
        labels: the finding of each pair.
        patients: whose chest it is.
        severities: float (P,).
        changed: share of the pixels that changed by more than `LEVELS`, float (P,).
        in_box, outside: the same of the pixels in the finding's boxes, and outside, float (P,).
        touched: share of the cells that are touched, float (P,).
        logit, probability: how much each rose, float (P,).
        explained: float (P,), NaN where the logit did not change; None for other methods than the
            closed form.
        inside: name to float (P,): `heatmap`, further methods, and `CONTROLS` that know nothing of
            the finding. NaN for a map without heat, and except for `heatmap` for other severities
            than the main.
        heat: heat inside, float (P,); of the closed form in logits.
    """

    labels: np.ndarray
    patients: np.ndarray
    severities: np.ndarray
    changed: np.ndarray
    in_box: np.ndarray
    outside: np.ndarray
    touched: np.ndarray
    logit: np.ndarray
    probability: np.ndarray
    explained: np.ndarray | None
    inside: Mapping[str, np.ndarray]
    heat: np.ndarray

    def rows(self, labels: Sequence[str]) -> np.ndarray:
        """Which pairs are of these findings and of `MAIN_SEVERITY`: bool (P,)."""
        chosen: np.ndarray = np.isin(self.labels, labels) & (self.severities == MAIN_SEVERITY)
        return chosen

    def rank_correlations(self, labels: Sequence[str]) -> dict[str, tuple[list[str], np.ndarray]]:
        """Spearman's correlation with severity, one for each patient and finding.

        Returns:
            `logit` and `heat` to patients and values; a series that does not vary counts as 0.
        """
        by_name: dict[str, tuple[list[str], np.ndarray]] = {}
        for name, values in (("logit", self.logit), ("heat", self.heat)):
            patients, correlations = [], []
            for label in labels:
                for patient in dict.fromkeys(self.patients[self.labels == label]):
                    series = (self.labels == label) & (self.patients == patient)
                    if series.sum() == 1:
                        continue
                    flat = np.ptp(values[series]) == 0
                    rho = 0.0 if flat else spearmanr(self.severities[series], values[series])[0]
                    patients.append(str(patient))
                    correlations.append(float(rho))
            by_name[name] = patients, np.array(correlations)
        return by_name


@dataclass(frozen=True)
class ExplainedModel:
    """The network that is looked into.

    Attributes:
        model: in eval mode.
        untrained: one of the same shape with random weights, on the same device.
        preprocessing: of their input.
        classes: label to index.
        calibrations: label to its calibration; none for a network that nobody calibrated.
        method: of the maps, as in `chexnet.explain.METHODS`.
        others: methods whose heat inside is measured beside it, at the main severity.
    """

    model: DenseNet121
    untrained: DenseNet121
    preprocessing: Preprocessing
    classes: Mapping[str, int]
    calibrations: Mapping[str, Calibration]
    method: str = CLOSED_FORM
    others: Sequence[str] = ()


def score_twins(
    subject: ExplainedModel, number: int, on_progress: Callable[[int, int], None] | None = None
) -> TwinScores:
    """Draw twins and score the maps of all findings that the network knows.

    Args:
        subject: the network.
        number: patients, 1 or more; each has one chest without and some with each finding.
        on_progress: called with patients done and in all.
    """
    labels = [name for name in FINDINGS if name in subject.classes]
    pairs: list[dict[str, float | str]] = []
    for patient in range(number):
        pairs += _patient(subject, patient, labels)
        if on_progress:
            on_progress(patient + 1, number)
    columns = {name: np.array([pair[name] for pair in pairs]) for name in pairs[0]}
    names = ("heatmap", *subject.others, *CONTROLS)
    inside = {name: columns.pop(f"inside {name}") for name in names}
    explained = columns.pop("explained")
    closed = subject.method == CLOSED_FORM
    return TwinScores(**columns, inside=inside, explained=explained if closed else None)


def _patient(
    subject: ExplainedModel, patient: int, labels: Sequence[str]
) -> list[dict[str, float | str]]:
    """All pairs of one patient."""
    name = str(person(SEED, patient).number)
    severities = SEVERITIES if patient < RANKED else (MAIN_SEVERITY,)
    cases = [(label, severity) for label in labels for severity in severities]
    twins = [draw_twin(patient, subject.preprocessing)]
    twins += [draw_twin(patient, subject.preprocessing, *case) for case in cases]
    pictures = [twin.pixels for twin in twins]
    trained = _look(subject.model, subject, pictures)
    main = [at for at, case in enumerate(cases, start=1) if case[1] == MAIN_SEVERITY]
    blank = _look(subject.untrained, subject, [pictures[at] for at in main]).heat
    untrained = dict(zip(main, blank, strict=True))
    height, width = trained.contributions.shape[2:]
    pairs: list[dict[str, float | str]] = []
    for at, (label, severity) in enumerate(cases, start=1):
        index, region = subject.classes[label], twins[at].region
        differs = changed_pixels(pictures[0], pictures[at])
        touched = touched_cells(differs, (height, width))
        maps = {"heatmap": _heat(subject, trained.heat[at, index], pictures[at], index)}
        if severity == MAIN_SEVERITY:
            maps |= _package(subject, pictures[at], index, subject.others)
            maps |= {"untrained": untrained[at][index]}
            maps |= {"edges": edges(pictures[at], (height, width))}
        shares = {key: inside_share(heat, touched) for key, heat in maps.items()}
        rise = trained.logits[at, index] - trained.logits[0, index]
        moved = trained.contributions[at, index] - trained.contributions[0, index]
        change = [_probability(subject, trained.logits[k, index], label) for k in (0, at)]
        pairs.append(
            {
                "labels": label,
                "patients": name,
                "severities": severity,
                "changed": float(differs.mean()),
                "in_box": float(differs[region].mean()),
                "outside": float(differs[~region].mean()),
                "touched": float(touched.mean()),
                "logit": float(rise),
                "probability": change[1] - change[0],
                "explained": float(moved[touched].sum() / rise) if rise else np.nan,
                "heat": float(maps["heatmap"][touched].sum()),
                **{
                    f"inside {key}": shares.get(key, np.nan)
                    for key in ("heatmap", *subject.others, *CONTROLS)
                },
            }
        )
    return pairs


def edges(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A control that knows no network: mean Sobel gradient in each cell, float (h, w).

    A map that were no better than it would show where the picture has contours.
    """
    gradient = ndimage.generic_gradient_magnitude(picture.astype(float), ndimage.sobel)
    height, width = (n // cells * cells for n, cells in zip(picture.shape, shape, strict=True))
    blocks = gradient[:height, :width].reshape(shape[0], height // shape[0], shape[1], -1)
    mean: np.ndarray = blocks.mean(axis=(1, 3))
    return mean


@dataclass(frozen=True)
class TwinFigure:
    """A mean over pairs, with its interval over patients."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class TwinRow:
    """The figures of one finding, or of several together.

    Attributes:
        pairs: of `MAIN_SEVERITY`.
        changed, in_box, outside, touched: mean shares of pixels and of cells.
        logit, probability, explained, inside, logit_rank, heat_rank: see the head of this file;
            `explained` is None for other methods than the closed form.
        controls: name to the mean share of heat inside, of `CONTROLS`; None without any heat.
        methods: the same with intervals, of further methods and of `CONTROLS`. A figure is None
            where no pair has it.
    """

    pairs: int
    changed: float
    in_box: float
    outside: float
    touched: float
    logit: TwinFigure | None
    probability: TwinFigure | None
    explained: TwinFigure | None
    inside: TwinFigure | None
    logit_rank: TwinFigure | None
    heat_rank: TwinFigure | None
    controls: Mapping[str, float | None]
    methods: Mapping[str, TwinFigure | None]


def summarise_twins(
    scores: TwinScores, replicates: int = 1000, seed: int = 0
) -> dict[str, TwinRow]:
    """The figures of each finding, then of all that leave the anatomy alone, then of the others.

    Args:
        scores: of `score_twins`.
        replicates: of the bootstrap over patients.
        seed: of its draws.
    """
    labels = list(dict.fromkeys(scores.labels.tolist()))
    groups = {name: [name] for name in labels}
    groups[LOCAL] = [name for name in labels if name not in RESHAPING]
    groups[ANATOMY] = [name for name in labels if name in RESHAPING]

    def figure(values: np.ndarray, patients: Sequence[str]) -> TwinFigure | None:
        known = ~np.isnan(values)
        if not known.any():
            return None
        kept = [patient for patient, here in zip(patients, known, strict=True) if here]
        interval = PatientBootstrap(kept, replicates, seed).mean(values[known])
        return TwinFigure(float(values[known].mean()), interval)

    rows = {}
    for name, chosen in groups.items():
        if not chosen:
            continue
        at = scores.rows(chosen)
        patients = scores.patients[at].tolist()
        ranks = scores.rank_correlations(chosen)
        explained = None if scores.explained is None else scores.explained[at]
        inside = {of: figure(share[at], patients) for of, share in scores.inside.items()}
        rows[name] = TwinRow(
            pairs=int(at.sum()),
            changed=float(scores.changed[at].mean()),
            in_box=float(scores.in_box[at].mean()),
            outside=float(scores.outside[at].mean()),
            touched=float(scores.touched[at].mean()),
            logit=figure(scores.logit[at], patients),
            probability=figure(scores.probability[at], patients),
            explained=None if explained is None else figure(explained, patients),
            inside=inside.pop("heatmap"),
            logit_rank=figure(ranks["logit"][1], ranks["logit"][0]),
            heat_rank=figure(ranks["heat"][1], ranks["heat"][0]),
            controls={of: control.value if (control := inside[of]) else None for of in CONTROLS},
            methods=inside,
        )
    return rows


@dataclass(frozen=True)
class _Look:
    """What a network says of some pictures, float32: (B, D), (B, D, h, w) twice."""

    logits: np.ndarray
    contributions: np.ndarray
    heat: np.ndarray


def _look(model: DenseNet121, subject: ExplainedModel, pictures: Sequence[np.ndarray]) -> _Look:
    logits, contributions, heat = [], [], []
    device = next(model.parameters()).device
    for start in range(0, len(pictures), 16):
        batch = torch.from_numpy(np.stack(pictures[start : start + 16])[:, None]).to(device)
        explained = explain(model, normalise(batch, subject.preprocessing))
        logits.append(explained.logits.cpu().numpy())
        contributions.append(explained.contributions.cpu().numpy())
        heat.append(explained.contributions.relu().cpu().numpy())
    return _Look(np.concatenate(logits), np.concatenate(contributions), np.concatenate(heat))


def _heat(
    subject: ExplainedModel, closed: np.ndarray, picture: np.ndarray, index: int
) -> np.ndarray:
    """The map of the subject's method; `closed` is that of the closed form."""
    if subject.method == CLOSED_FORM:
        return closed
    return _package(subject, picture, index, [subject.method])[subject.method]


def _package(
    subject: ExplainedModel, picture: np.ndarray, index: int, methods: Sequence[str]
) -> dict[str, np.ndarray]:
    """The maps of some methods of the `grad-cam` package."""
    if not methods:
        return {}
    device = next(subject.model.parameters()).device
    image = normalise(torch.from_numpy(picture[None, None].copy()), subject.preprocessing)
    heatmaps = package_heatmaps(subject.model, image.to(device), index, methods)
    return {name: heat.cpu().numpy() for name, heat in heatmaps.items()}


def _probability(subject: ExplainedModel, logit: np.ndarray, label: str) -> float:
    return float(subject.calibrations.get(label, Calibration())(expit(np.asarray(logit))))
