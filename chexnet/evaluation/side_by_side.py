"""Several networks on the images that none of them has seen.

Each is compared with the first: paired over patients, see `comparison`. The p-values of the mean
differences are corrected for their number (Holm, Scandinavian Journal of Statistics 1979); those of
single findings are not.

Shapes: N images, D classes that all networks have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.formats import DataRequest
from chexnet.data.splits import LEAKY
from chexnet.errors import ConfigError, LeakError
from chexnet.evaluation.bootstrap import REPLICATES
from chexnet.evaluation.comparison import MEAN, Difference, compare
from chexnet.evaluation.comparison import as_dict as differences
from chexnet.evaluation.facts import ScoringFacts
from chexnet.evaluation.holdout import Holdout, open_holdout
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.scoring import score_holdout
from chexnet.evaluation.summary import Summary, number, summarise
from chexnet.evaluation.summary import as_dict as figures
from chexnet.evaluation.thresholds import validation_choices
from chexnet.labels import FINDINGS


@dataclass(frozen=True)
class Contender:
    """One network.

    Attributes:
        name: in the registry, else of its file; distinct.
        facts: of its scoring.
        chosen_on: which images chose its epoch, as its publisher says; None where nobody says.
        stamps: what its figures must not be shown without.
        scores: of the N images and D classes, as the network gave them.
        summary: figures of these.
        against_first: its AUROC less the first network's, by class; None for the first.
        holm: p-value of the mean difference, corrected for the number of networks.
    """

    name: str
    facts: ScoringFacts
    chosen_on: str | None
    stamps: list[str]
    scores: Scores
    summary: Summary
    against_first: dict[str, Difference] | None = None
    holm: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        weights = self.facts.weights
        return {
            "name": self.name,
            "published": weights.published if weights else None,
            "published_source": weights.published_source if weights else None,
            "chosen_on": self.chosen_on,
            "stamps": self.stamps,
            "facts": self.facts.as_dict(),
            **figures(self.summary),
            "against_first": differences(self.against_first) if self.against_first else None,
            "p_holm": None if self.holm is None else number(self.holm),
        }


@dataclass(frozen=True)
class SideBySide:
    """All of them.

    Attributes:
        contenders: the networks, in the order given.
        part: `val`, `test` or `all`.
        images: that none of them has seen, and that were scored.
        of: images of the part that are here.
        classes: that all networks have.
        left_out: classes that only some of them have.
        notes: sentences that a user should read.
        replicates: bootstrap draws.
    """

    contenders: list[Contender]
    part: str
    images: int
    of: int
    classes: list[str]
    left_out: list[str]
    notes: list[str]
    replicates: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "part": self.part,
            "images": self.images,
            "images_of_part": self.of,
            "classes": self.classes,
            "classes_left_out": self.left_out,
            "notes": self.notes,
            "replicates": self.replicates,
            "networks": [one.as_dict() for one in self.contenders],
        }


def score_side_by_side(
    request: DataRequest,
    weights: Sequence[Path],
    part: str,
    *,
    names: Sequence[str] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    on_network: Callable[[int, str], None] = lambda number, name: None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> SideBySide:
    """Score each network on the images of the part that none of them has seen.

    Args:
        request: see `open_holdout`.
        weights: two weights files or more.
        part: `val`, `test` or `all`.
        names: what to call them; else their name in the registry, or their file's.
        replicates: bootstrap draws of all intervals.
        seed: of the bootstrap.
        on_network: called with number and name before each network is scored.
        on_progress: called with images done and in all.
        options: further arguments of `score_holdout`.

    Raises:
        ConfigError: fewer than two networks, or none of their classes in common.
        ChexnetError: see `open_holdout`; or no image is left.
    """
    if len(weights) < 2:
        raise ConfigError(f"--weights: found {len(weights)}, expected two networks or more.")
    opened = [_open(request, path, part) for path in weights]
    known = [one.metadata.classes for one in opened]
    classes = [name for name in known[0] if all(name in other for other in known)]
    if not set(classes) & set(FINDINGS):
        raise ConfigError("The networks have no finding in common, so nothing can be compared.")
    rows = [one.datamodule.rows(part) for one in opened]
    common = reduce(np.intersect1d, rows)
    if not len(common):
        pairs = zip(weights, rows, strict=True)
        counts = ", ".join(f"{path.name} {len(one):,}" for path, one in pairs)
        raise LeakError(
            f"No image of the {part} part was left unseen by all networks (clean for each: "
            f"{counts}). Leave out the network that has seen the most."
        )
    own = [_name(path, one) for path, one in zip(weights, opened, strict=True)]
    named = _distinct(names or own)
    scores = []
    for place, (name, holdout) in enumerate(zip(named, opened, strict=True), 1):
        on_network(place, name)
        found = score_holdout(holdout.only(common), on_progress=on_progress, **options)
        scores.append(found.take(np.arange(len(found.images)), classes))
    against = [compare(one, scores[0], replicates, seed) for one in scores[1:]]
    corrected = _holm([one[MEAN].p if MEAN in one else float("nan") for one in against])
    return SideBySide(
        contenders=[
            _contender(name, holdout.only(common), found, summary, difference, p)
            for name, holdout, found, summary, difference, p in zip(
                named,
                opened,
                scores,
                [summarise(one, replicates=replicates, seed=seed) for one in scores],
                [None, *against],
                [None, *corrected],
                strict=True,
            )
        ],
        part=part,
        images=len(common),
        of=max(one.facts.clean_of or 0 for one in opened),
        classes=classes,
        left_out=sorted(set().union(*known) - set(classes)),
        notes=_notes(opened, part),
        replicates=replicates,
    )


def _open(request: DataRequest, path: Path, part: str) -> Holdout:
    try:
        return open_holdout(request, path, part, clean=True)
    except LeakError as error:
        raise LeakError(f"{path.name}: {error} Leave this network out.") from error


def _name(path: Path, holdout: Holdout) -> str:
    weights = holdout.facts.weights
    return (weights.network if weights else None) or path.stem


def _distinct(names: Sequence[str]) -> list[str]:
    """The same names; one that stands twice gets a number from its second time on."""
    found: list[str] = []
    for name in names:
        count = len([one for one in names[: len(found)] if one == name])
        found.append(f"{name} ({count + 1})" if count else name)
    return found


def _contender(
    name: str,
    holdout: Holdout,
    scores: Scores,
    summary: Summary,
    difference: dict[str, Difference] | None,
    holm: float | None,
) -> Contender:
    calibrated = validation_choices(holdout.metadata) is not None
    stamps = [LEAKY] if holdout.facts.leaky else []
    return Contender(
        name=name,
        facts=holdout.facts,
        chosen_on=holdout.metadata.provenance.get("chosen_on"),
        stamps=[*stamps, *holdout.facts.stamps(calibrated=calibrated)],
        scores=scores,
        summary=summary,
        against_first=difference,
        holm=holm,
    )


def _notes(opened: Sequence[Holdout], part: str) -> list[str]:
    notes = [note for one in opened for note in one.datamodule.notes]
    if part == "val":
        notes.append("The validation part chose the weights of networks trained by this project.")
    if len({(one.facts.split, one.facts.split_seed, str(one.facts.fold)) for one in opened}) > 1:
        notes.append(
            "The networks were trained on other splits: scored are images that are in this part "
            "for each of them."
        )
    return list(dict.fromkeys(notes))


def _holm(values: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given; NaN stays, and counts for nothing."""
    p = np.array(values, float)
    order = [int(place) for place in np.argsort(p) if not np.isnan(p[place])]
    corrected, greatest = p.copy(), 0.0
    for rank, place in enumerate(order):
        greatest = max(greatest, min(1.0, (len(order) - rank) * p[place]))
        corrected[place] = greatest
    return [float(value) for value in corrected]
