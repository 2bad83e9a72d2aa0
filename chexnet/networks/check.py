"""Is a network from elsewhere read rightly? A diagnosis, by its answers on images with labels.

Three things go wrong without a word: the columns stand in another order than was believed, the
input is normalised in another way than in training, or black and white are exchanged. Each leaves
its mark on the AUROC, and each is looked for by scoring the same images again under the
alternatives. Nothing is changed in the file, and nothing that comes of it is a figure to choose a
network by.

Shapes: N images, D columns (classes of the network), L labels with enough positives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chexnet.data.splits import unseen
from chexnet.evaluation.bootstrap import Interval
from chexnet.evaluation.comparison import MEAN, Difference, compare
from chexnet.evaluation.holdout import Holdout
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.summary import Summary, summarise
from chexnet.networks.assignment import (
    assign,
    auroc_matrix,
    halves_of,
    known_order,
    matched_mean,
    mean_auroc,
    view,
)
from chexnet.networks.training_lists import image_names
from chexnet.networks.variants import DECLARED, INVERTED
from chexnet.rng import keyed_generator

ENOUGH_IMAGES = 200
"""NIH images under which nothing is said about a network."""
MIN_POSITIVES = 8
"""Positive images under which a label says nothing about an assignment."""
GAIN = 0.02
"""Mean AUROC that an alternative must add before anything is said to be wrong."""
LEAST = 0.55
"""Mean AUROC that reassigned columns must reach before an assignment is believed."""
SIGNIFICANT = 0.01
"""Two-sided p-value that its gain must stay under, divided by the number of alternatives."""


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


@dataclass(frozen=True)
class CheckedImages:
    """The images that a network is checked on.

    Attributes:
        rows: of the table, int (N,).
        real: at least `ENOUGH_IMAGES` of NIH's radiographs.
        nih: NIH's radiographs that are here.
        unseen: the network has seen none of `rows`, nor another image of their patients.
    """

    rows: np.ndarray
    real: bool
    nih: int
    unseen: bool


def choose_images(holdout: Holdout, limit: int, seed: int = 0) -> CheckedImages:
    """NIH's radiographs that the network has not seen, where there are enough.

    Else those that it has seen; where there are too few of NIH's, everything that is here.

    Args:
        holdout: opened with part `all`.
        limit: images at most, drawn at random.
        seed: of the draw.
    """
    table = holdout.datamodule.folder.table
    here = holdout.datamodule.rows("all")
    nih = here[table["image"].iloc[here].isin(image_names()).to_numpy()]
    real = len(nih) >= ENOUGH_IMAGES
    pool = nih if real else here
    hashes = holdout.metadata.trained_hashes
    clean = unseen(table, pool, *hashes) if hashes else pool[:0]
    enough = len(clean) >= (ENOUGH_IMAGES if real else len(pool))
    if enough:
        pool = clean
    if len(pool) > limit:
        pool = np.sort(keyed_generator("check", seed).choice(pool, limit, replace=False))
    return CheckedImages(pool, real, len(nih), enough)


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
    if _reassigned(plain[best], matched[best]) and shuffled.p < SIGNIFICANT:
        order = known_order(chosen, labels, matched[best] - GAIN)
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


def _reassigned(plain: float, matched: float) -> bool:
    """Whether columns do clearly better where they fit than where they are declared to be.

    Of a network that knows nothing both are 0.5, give or take more than `GAIN`.
    """
    return matched > max(plain + GAIN, LEAST)


def _best_view(scores: Scores, labels: list[int], plain: float, matched: float) -> Scores:
    """The columns as declared, or where that is clearly better as they fit."""
    if _reassigned(plain, matched):
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
