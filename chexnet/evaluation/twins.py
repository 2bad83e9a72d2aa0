"""Twins: the same drawn chest without and with one finding, and what a heatmap makes of it.

A heatmap may cover a box for a wrong reason. Of a drawn chest both pictures exist, so the question
can be put to a cause: a finding is drawn, the logit changes, and the map should say that it changed
where the drawing did. Everything is read in the map's own cells, h x w. A cell is *touched* where
some pixel of it, of what the network saw, differs between the twins by more than `LEVELS`.

Of each pair:

- explained: share of the logit's change that the map puts into touched cells,
  sum over touched of (M_with - M_without) / (z_with - z_without). Only the closed form has it: its
  signed contributions M add up to the logit less the bias, so the share is exact. 1 is perfect.
- inside: share of the heat of the picture with the finding in touched cells; the rest lies where
  nothing changed. Every method has it. Chance is the share of cells that are touched.
- probability: how much it rose (calibrated where the weights file has a calibration).

Of each patient, over `SEVERITIES`: Spearman's rank correlation of severity with the logit, and with
the heat inside.

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
from chexnet.explain import CLOSED_FORM, explain
from chexnet.grad_cam import package_heatmap
from chexnet.labels import FINDINGS
from chexnet.model import DenseNet121
from chexnet.phantom.draw import draw_phantom
from chexnet.phantom.patients import person
from chexnet.transforms import Preprocessing, item_pixels, normalise

SEED = 900
"""Of the twins' patients; no set of phantoms that weights here were trained on has it."""
SIDE = 512
"""Pixels a side of a drawing, before it is cropped and resized for the network."""
LEVELS = 3
"""Grey levels (of 255) that a pixel must change by; scattered rays change all others by less."""
SEVERITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
MAIN_SEVERITY = 0.6
"""Of what is reported pair by pair."""
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
        touched: share of the cells that are touched, float (P,).
        logit, probability: how much each rose, float (P,).
        explained: float (P,), NaN where the logit did not change; None for other methods than the
            closed form.
        inside: name to float (P,): `heatmap`, and `CONTROLS` that know nothing of the finding. NaN
            for a map without heat.
        heat: heat inside, float (P,); of the closed form in logits.
    """

    labels: np.ndarray
    patients: np.ndarray
    severities: np.ndarray
    changed: np.ndarray
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
        found: dict[str, tuple[list[str], np.ndarray]] = {}
        for name, values in (("logit", self.logit), ("heat", self.heat)):
            patients, correlations = [], []
            for label in labels:
                for patient in dict.fromkeys(self.patients[self.labels == label]):
                    series = (self.labels == label) & (self.patients == patient)
                    flat = np.ptp(values[series]) == 0
                    rho = 0.0 if flat else spearmanr(self.severities[series], values[series])[0]
                    patients.append(str(patient))
                    correlations.append(float(rho))
            found[name] = patients, np.array(correlations)
        return found


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
    """

    model: DenseNet121
    untrained: DenseNet121
    preprocessing: Preprocessing
    classes: Mapping[str, int]
    calibrations: Mapping[str, Calibration]
    method: str = CLOSED_FORM


def score_twins(
    subject: ExplainedModel, number: int, on_progress: Callable[[int, int], None] | None = None
) -> TwinScores:
    """Draw twins and score the maps of all findings that the network knows.

    Args:
        subject: the network.
        number: patients, 1 or more; each has one chest without and `SEVERITIES` with each finding.
        on_progress: called with patients done and in all.
    """
    labels = [name for name in FINDINGS if name in subject.classes]
    pairs: list[dict[str, float | str]] = []
    for patient in range(number):
        pairs += _patient(subject, patient, labels)
        if on_progress:
            on_progress(patient + 1, number)
    columns = {name: np.array([pair[name] for pair in pairs]) for name in pairs[0]}
    inside = {name: columns.pop(f"inside {name}") for name in ("heatmap", *CONTROLS)}
    explained = columns.pop("explained")
    closed = subject.method == CLOSED_FORM
    return TwinScores(**columns, inside=inside, explained=explained if closed else None)


def _patient(
    subject: ExplainedModel, patient: int, labels: Sequence[str]
) -> list[dict[str, float | str]]:
    """All pairs of one patient."""
    name = str(person(SEED, patient).number)
    cases = [(label, severity) for label in labels for severity in SEVERITIES]
    pictures = [draw_twin(patient, subject.preprocessing)]
    pictures += [draw_twin(patient, subject.preprocessing, *case) for case in cases]
    trained, untrained = (_look(m, subject, pictures) for m in (subject.model, subject.untrained))
    pairs: list[dict[str, float | str]] = []
    for at, (label, severity) in enumerate(cases, start=1):
        index, shape = subject.classes[label], trained.contributions.shape[2:]
        differs = changed_pixels(pictures[0], pictures[at])
        touched = touched_cells(differs, (shape[0], shape[1]))
        maps = {
            "heatmap": _heat(subject, trained.heat[at, index], pictures[at], index),
            "untrained": untrained.heat[at, index],
            "edges": edges(pictures[at], (shape[0], shape[1])),
        }
        rise = trained.logits[at, index] - trained.logits[0, index]
        moved = trained.contributions[at, index] - trained.contributions[0, index]
        change = [_probability(subject, trained.logits[k, index], label) for k in (0, at)]
        pairs.append(
            {
                "labels": label,
                "patients": name,
                "severities": severity,
                "changed": float(differs.mean()),
                "touched": float(touched.mean()),
                "logit": float(rise),
                "probability": change[1] - change[0],
                "explained": float(moved[touched].sum() / rise) if rise else np.nan,
                "heat": float(maps["heatmap"][touched].sum()),
                **{f"inside {key}": inside_share(heat, touched) for key, heat in maps.items()},
            }
        )
    return pairs


def draw_twin(
    patient: int, preprocessing: Preprocessing, label: str | None = None, severity: float = 0.0
) -> np.ndarray:
    """One of the twins as the network sees it: uint8 (size, size).

    Exposure, noise, marker and anatomy are the same for all twins of a patient; a finding of
    `RESHAPING` changes the anatomy, because that is what it is.

    Args:
        patient: 0 for the first.
        preprocessing: of the network.
        label: the finding; None for the chest without any.
        severity: above 0, at most 1.
    """
    findings = {} if label is None else {label: severity}
    drawn = draw_phantom(SEED, patient, 0, size=SIDE, findings=findings)
    return item_pixels(drawn.pixels, preprocessing)


def changed_pixels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where two pictures, uint8 (H, W), differ by more than `LEVELS`: bool (H, W)."""
    differs: np.ndarray = np.abs(one.astype(np.int16) - other) > LEVELS
    return differs


def touched_cells(changed: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Cells (h, w) of a map that hold a changed pixel (H, W): bool (h, w)."""
    rows, columns = np.nonzero(changed)
    touched = np.zeros(shape, bool)
    touched[rows * shape[0] // changed.shape[0], columns * shape[1] // changed.shape[1]] = True
    return touched


def inside_share(heat: np.ndarray, touched: np.ndarray) -> float:
    """Share of a map's heat, float (h, w) at least 0, in touched cells; NaN without heat."""
    total = heat.sum()
    return float(heat[touched].sum() / total) if total > 0 else float("nan")


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
        changed, touched: mean shares of pixels and of cells.
        logit, probability, explained, inside, logit_rank, heat_rank: see the head of this file;
            `explained` is None for other methods than the closed form.
        controls: name to the mean share of heat inside, of `CONTROLS`; None without any heat.
            A figure is None where no pair has it.
    """

    pairs: int
    changed: float
    touched: float
    logit: TwinFigure | None
    probability: TwinFigure | None
    explained: TwinFigure | None
    inside: TwinFigure | None
    logit_rank: TwinFigure | None
    heat_rank: TwinFigure | None
    controls: Mapping[str, float | None]


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
        known = {of: share[at][~np.isnan(share[at])] for of, share in scores.inside.items()}
        rows[name] = TwinRow(
            pairs=int(at.sum()),
            changed=float(scores.changed[at].mean()),
            touched=float(scores.touched[at].mean()),
            logit=figure(scores.logit[at], patients),
            probability=figure(scores.probability[at], patients),
            explained=None if explained is None else figure(explained, patients),
            inside=figure(scores.inside["heatmap"][at], patients),
            logit_rank=figure(ranks["logit"][1], ranks["logit"][0]),
            heat_rank=figure(ranks["heat"][1], ranks["heat"][0]),
            controls={of: float(known[of].mean()) if len(known[of]) else None for of in CONTROLS},
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
        found = explain(model, normalise(batch, subject.preprocessing))
        logits.append(found.logits.cpu().numpy())
        contributions.append(found.contributions.cpu().numpy())
        heat.append(found.contributions.relu().cpu().numpy())
    return _Look(np.concatenate(logits), np.concatenate(contributions), np.concatenate(heat))


def _heat(
    subject: ExplainedModel, closed: np.ndarray, picture: np.ndarray, index: int
) -> np.ndarray:
    """The map of the subject's method; `closed` is that of the closed form."""
    if subject.method == CLOSED_FORM:
        return closed
    device = next(subject.model.parameters()).device
    image = normalise(torch.from_numpy(picture[None, None].copy()), subject.preprocessing)
    heat = package_heatmap(subject.model, image.to(device), index, subject.method)
    found: np.ndarray = heat.cpu().numpy()
    return found


def _probability(subject: ExplainedModel, logit: np.ndarray, label: str) -> float:
    return float(subject.calibrations.get(label, Calibration())(expit(np.asarray(logit))))
