"""Is a network from elsewhere read rightly? A diagnosis, by its answers on images with labels.

Three things go wrong without a word: the columns stand in another order than was believed, the
input is normalised in another way than in training, or black and white are exchanged. Each leaves
its mark on the AUROC, and each is looked for by scoring the same images again under the
alternatives. Nothing is changed in the file, and nothing that comes of it is a figure to choose a
network by.

Shapes: N images, D columns (classes of the network), L labels with enough positives.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata

from chexnet.data.datasets import AnyDataSet, batch_loader
from chexnet.evaluation.bootstrap import Interval
from chexnet.evaluation.comparison import MEAN, Difference, compare
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.summary import Summary, summarise
from chexnet.model import DenseNet121
from chexnet.networks.assignment import (
    assign,
    auroc_matrix,
    halves_of,
    known_order,
    matched_mean,
    mean_auroc,
    view,
)
from chexnet.transforms import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, normalise

ENOUGH_IMAGES = 200
"""NIH images under which nothing is said about a network."""
MIN_POSITIVES = 8
"""Positive images under which a label says nothing about an assignment."""
GAIN = 0.02
"""Mean AUROC that an alternative must add before anything is said to be wrong."""
SIGNIFICANT = 0.01
"""Two-sided p-value that its gain must stay under, divided by the number of alternatives."""
DECLARED = "as declared"
INVERTED = "black and white exchanged"


@dataclass(frozen=True)
class Variant:
    """One way to normalise the input, and how the network does under it.

    Attributes:
        name: for a reader.
        mean: mean AUROC of the L labels, with the columns as declared.
        matched: the same with the columns assigned to labels on the other half of the patients;
            NaN where that says nothing.
        gain: its better figure less that of the declared input's; None for the latter.
    """

    name: str
    mean: float
    matched: float
    gain: Difference | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        verdict: `confirmed`, `nothing wrong found`, `lower than published`, `no better than
            guessing`, `something looks wrong`, or `cannot say`.
        problems: a sentence for each thing that looks wrong.
        summary: figures with the input as declared.
        variants: the input's alternatives, the declared one first.
        columns: label -> (AUROC of its own column, the column that fits best, its AUROC), for the
            L labels, under the input that fits best.
        order: what a known order explains, for example `alphabetical14, imported as nih14`.
        published: the published mean AUROC.
    """

    verdict: str
    problems: list[str]
    summary: Summary
    variants: list[Variant]
    columns: dict[str, tuple[float, str, float]]
    order: str | None
    published: float | None

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the mean AUROC of the findings."""
        return self.summary.intervals.findings if self.summary.intervals else None


def input_variants(declared: Preprocessing) -> dict[str, Preprocessing]:
    """The declared input and its alternatives, by name; crop and size are those declared."""

    def normal(mean: Sequence[float], std: Sequence[float]) -> Preprocessing:
        (r, g, b), (s, t, u) = mean, std
        return dataclasses.replace(declared, mean=(r, g, b), std=(s, t, u))

    alternatives = {
        "ImageNet's mean and std": normal(IMAGENET_MEAN, IMAGENET_STD),
        "mean 0.5056, std 0.252 (medical_mae)": normal((0.5056,) * 3, (0.252,) * 3),
        "-1 to 1": normal((0.5,) * 3, (0.5,) * 3),
        "0 to 1": normal((0.0,) * 3, (1.0,) * 3),
        "0 to 255": normal((0.0,) * 3, (1 / 255,) * 3),
        "-1024 to 1024 (torchxrayvision)": normal((0.5,) * 3, (1 / 2048,) * 3),
        # 1 - x normalised as declared: (1 - x - mean) / std.
        INVERTED: normal([1 - m for m in declared.mean], [-s for s in declared.std]),
    }
    own = (declared.mean, declared.std)
    return {DECLARED: declared} | {
        name: one for name, one in alternatives.items() if (one.mean, one.std) != own
    }


def score_variants(
    model: DenseNet121,
    data: AnyDataSet,
    variants: Mapping[str, Preprocessing],
    *,
    batch_size: int = 32,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """Score the same pictures under each normalisation; they are decoded once.

    Args:
        model: in eval mode, on the device that shall compute.
        data: the images.
        variants: see `input_variants`.
        batch_size: images at once.
        workers: processes that read.
        on_progress: called with images done and in all.

    Returns:
        Scores whose `probabilities` are the ranks of the logits among the N images, divided by N:
        a far-off normalisation drives logits to where a sigmoid cannot tell them apart.
    """
    device = next(model.parameters()).device
    order = np.arange(len(data))
    batches = [order[start : start + batch_size] for start in range(0, len(data), batch_size)]
    logits: dict[str, list[np.ndarray]] = {name: [] for name in variants}
    done = 0
    with torch.inference_mode():
        for images, _, _ in batch_loader(data, batches, workers):
            pictures = images.to(device)
            for name, preprocessing in variants.items():
                logits[name].append(model(normalise(pictures, preprocessing)).float().cpu().numpy())
            done += len(images)
            if on_progress:
                on_progress(done, len(data))
    plain = Scores(
        images=data.images,
        patients=data.patients,
        classes=list(data.classes),
        probabilities=np.empty(0),
        targets=data.targets.astype(np.int8),
    )
    return {
        name: dataclasses.replace(plain, probabilities=_ranks(np.concatenate(parts)))
        for name, parts in logits.items()
    }


def diagnose(
    scores: Mapping[str, Scores],
    *,
    published: float | None = None,
    real: bool = True,
    replicates: int = 1000,
    seed: int = 0,
) -> Diagnosis:
    """Say what the scores under the alternatives speak for.

    Args:
        scores: see `score_variants`; the first are those of the declared input.
        published: mean AUROC of the 14 findings, as its publisher gives it.
        real: the images are radiographs that can speak for or against it; of drawings, or of too
            few images, the verdict is `cannot say`.
        replicates: bootstrap draws of the intervals.
        seed: of the bootstrap and of the halves of the patients.
    """
    first = next(iter(scores.values()))
    summary = summarise(first, replicates=replicates, seed=seed)
    labels = [
        place
        for place, truth in enumerate(first.targets.T)
        if min(truth.sum(), len(truth) - truth.sum()) >= MIN_POSITIVES
    ]
    if len(labels) < 2:
        return Diagnosis("cannot say", [], summary, [], {}, None, published)
    halves = halves_of(first.patients, seed)
    plain = {name: mean_auroc(one, labels, labels) for name, one in scores.items()}
    matched = {name: matched_mean(one, labels, halves) for name, one in scores.items()}
    gains: dict[str, Difference | None] = dict.fromkeys(scores)
    base = _best_view(first, labels, plain[DECLARED], matched[DECLARED])
    for name, one in scores.items():
        if name != DECLARED:
            seen = _best_view(one, labels, plain[name], matched[name])
            gains[name] = compare(seen, base, replicates, seed)[MEAN]
    problems = []
    clear = {
        name: gain.value
        for name, gain in gains.items()
        if gain and gain.value > GAIN and gain.p < SIGNIFICANT / max(1, len(gains) - 1)
    }
    best = max(clear, key=lambda name: clear[name], default=DECLARED)
    if best == INVERTED:
        problems.append(
            f"inverted input: with black and white exchanged the mean AUROC rises by "
            f"{clear[best]:.3f}. The network expects pictures in which bone is dark."
        )
    elif best != DECLARED:
        problems.append(
            f"wrong normalisation: with {best} the mean AUROC rises by {clear[best]:.3f}. Give the "
            "registry entry that mean and std."
        )
    chosen = scores[best]
    columns, assigned = _columns(chosen, labels)
    order = None
    shuffled = compare(
        view(chosen, labels, assigned), view(chosen, labels, labels), replicates, seed
    )[MEAN]
    honest = matched[best] - plain[best]
    if honest > GAIN and shuffled.p < SIGNIFICANT:
        order = known_order(chosen, labels, mean_auroc(chosen, labels, assigned) - GAIN)
        problems.append(
            f"shuffled classes: with columns assigned to labels anew, on other patients than they "
            f"are scored on, the mean AUROC rises by {honest:.3f}."
            + (f" The order is that of {order}." if order else "")
        )
    return Diagnosis(
        verdict=_verdict(problems, summary, published, real=real),
        problems=problems,
        summary=summary,
        variants=[Variant(name, plain[name], matched[name], gains[name]) for name in scores],
        columns=columns,
        order=order,
        published=published,
    )


def _verdict(
    problems: Sequence[str], summary: Summary, published: float | None, *, real: bool
) -> str:
    interval = summary.intervals.findings if summary.intervals else None
    if not real or interval is None or not interval.known:
        return "cannot say"
    if problems:
        return "something looks wrong"
    if interval.low <= 0.5:
        return "no better than guessing"
    if published is None:
        return "nothing wrong found"
    return "confirmed" if interval.high >= published else "lower than published"


def _ranks(logits: np.ndarray) -> np.ndarray:
    kept = np.nan_to_num(logits.astype(np.float64), posinf=1e300, neginf=-1e300)
    return np.asarray(rankdata(kept, axis=0)) / len(kept)


def _best_view(scores: Scores, labels: list[int], plain: float, matched: float) -> Scores:
    """The columns as declared, or where that is clearly better as they fit."""
    if matched > plain + GAIN:
        return view(scores, labels, _columns(scores, labels)[1])
    return view(scores, labels, labels)


def _columns(
    scores: Scores, labels: list[int]
) -> tuple[dict[str, tuple[float, str, float]], list[int]]:
    matrix = auroc_matrix(scores, labels, np.arange(len(scores.images)))
    assigned = assign(matrix)
    names = scores.classes
    return {
        names[label]: (
            float(matrix[label, place]),
            names[column],
            float(matrix[column, place]),
        )
        for place, (label, column) in enumerate(zip(labels, assigned, strict=True))
    }, assigned
