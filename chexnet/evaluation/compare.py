"""Is one network better than another on the same images? Paired over patients.

Both are scored under the same draws of patients, so that what makes a draw easy cancels out
(DeLong's pairing, with whole patients as the unit). The p-value is two-sided, of the difference
over its bootstrap standard error, against Student's t with (effective positive or negative
patients, the fewer of them, less one) degrees of freedom: see `clustered`. With the patients
themselves 6.3 to 8.2 % of pairs of equally good networks were called different at 5 % where
patients have NIH's numbers of images; docs/reliability.md has what it is now. A mean over findings
has the harmonic mean of theirs, which the findings of few patients weigh down.

Of several networks each is compared with the first. p-values that hold for all findings, or for
all networks, at once are Holm's.

Shapes: N images, D classes that all networks have, R replicates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from chexnet.data.formats import DataRequest
from chexnet.data.splits import LEAKY
from chexnet.errors import ConfigError, DataError, LeakError
from chexnet.evaluation.calibration import validation_choices
from chexnet.evaluation.clustered import holm
from chexnet.evaluation.holdout import Holdout, open_holdout
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.intervals import (
    REPLICATES,
    Interval,
    PatientBootstrap,
    interval_of,
    minimum_detectable,
    patients_behind,
    replicate_aurocs,
    row_means,
)
from chexnet.evaluation.metrics import WeightedAuroc, exact
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.scoring import score_holdout
from chexnet.evaluation.summary import Summary, summarise
from chexnet.files import plain
from chexnet.labels import FINDINGS

MEAN = "Mean of the findings"


@dataclass(frozen=True)
class Difference:
    """AUROC of A less AUROC of B.

    Attributes:
        first: AUROC of A, NaN where there is none.
        second: AUROC of B.
        interval: 95 % interval of the difference; `n/a` with under 5 positive (negative) patients.
        p: two-sided p-value, NaN where there is no interval.
        n_classes: classes that the figure is a mean of.
    """

    first: float
    second: float
    interval: Interval
    p: float
    n_classes: int = 1

    @property
    def value(self) -> float:
        """A less B."""
        return self.first - self.second


def compare(
    first: Scores, second: Scores, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Difference]:
    """Compare class by class, and the mean over the findings that both have.

    Args:
        first: A.
        second: B, of the same images in any order.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        DataError: other images, or no class in common.
    """
    first, second = _aligned(first, second)
    bootstrap = PatientBootstrap(first.patients, replicates, seed)
    drawn = replicate_aurocs(first, bootstrap) - replicate_aurocs(second, bootstrap)
    values = np.stack(
        [exact(WeightedAuroc, scores.probabilities, scores.targets) for scores in (first, second)]
    )
    # Of the truth that fewer patients stand behind, where the two are scored against two truths.
    patients = [
        min(patients_behind(truth, bootstrap.unit) for truth in truths)
        for truths in zip(first.targets.T, second.targets.T, strict=True)
    ]
    differences = {}
    for column, name in enumerate(first.classes):
        pair, (fewest, effective) = values[:, column], patients[column]
        differences[name] = difference_of(pair[0], pair[1], drawn[:, column], fewest, effective)
    chosen = [
        column
        for column, name in enumerate(first.classes)
        if name in FINDINGS and not np.isnan(values[0][column])
    ]
    if chosen:
        means = values[:, chosen].mean(axis=1)
        behind = np.array(patients)[chosen]
        mean = difference_of(
            means[0],
            means[1],
            row_means(drawn[:, chosen]),
            int(behind[:, 0].max()),
            len(chosen) / (1 / behind[:, 1]).sum(),
        )
        differences[MEAN] = replace(mean, n_classes=len(chosen))
    return differences


def difference_of(
    first: float, second: float, drawn: np.ndarray, fewest: int, effective: float
) -> Difference:
    """A difference with interval and p-value.

    Args:
        first: AUROC of A.
        second: AUROC of B.
        drawn: the difference in each replicate, (R,).
        fewest: positive or negative patients, whichever are fewer.
        effective: the same of effective patients, see `patients_behind`.
    """
    interval, p = interval_of(drawn, fewest), float("nan")
    if interval.known:
        spread = np.nanstd(drawn, ddof=1)
        # Two files with the same answers differ nowhere: nothing speaks against their being equal.
        p = float(2 * t.sf(abs(first - second) / spread, effective - 1)) if spread > 0 else 1.0
    return Difference(float(first), float(second), interval, p)


def _aligned(first: Scores, second: Scores) -> tuple[Scores, Scores]:
    place = {name: row for row, name in enumerate(second.images)}
    missing = [name for name in first.images if name not in place]
    extra = len(second.images) - (len(first.images) - len(missing))
    if missing or extra:
        which = missing[0] if missing else next(iter(set(place) - set(first.images)))
        raise DataError(
            f"The two files are of other images: {len(missing):,} only in the first, {extra:,} "
            f"only in the second, {which} among them. Score the same images with both networks."
        )
    classes = [name for name in first.classes if name in second.classes]
    if not classes:
        raise DataError(
            f"The two files have no class in common: found {', '.join(first.classes[:3])} ... and "
            f"{', '.join(second.classes[:3])} ..."
        )
    rows = [place[name] for name in first.images]
    return first.take(np.arange(len(rows)), classes), second.take(np.array(rows), classes)


def as_dict(differences: Mapping[str, Difference]) -> dict[str, Any]:
    """The differences for JSON; `p_holm` of a finding holds for all of them at once."""
    adjusted = holm({name: less.p for name, less in differences.items() if name in FINDINGS})
    content: dict[str, Any] = plain(
        {
            name: {
                "a": less.first,
                "b": less.second,
                "difference": less.value,
                "interval": less.interval,
                "p": less.p,
                "p_holm": adjusted.get(name),
                "smallest_shown_at_80_percent_power": minimum_detectable(less.interval),
                "classes": less.n_classes,
            }
            for name, less in differences.items()
        }
    )
    return content


@dataclass(frozen=True)
class NetworkScore:
    """One network on the images that none of the networks has seen.

    Attributes:
        facts: of its scoring.
        scores: of the N images and D classes, as the network gave them.
        summary: figures of these.
    """

    facts: ScoringInfo
    scores: Scores
    summary: Summary


def compare_networks(
    request: DataRequest,
    weights: Sequence[Path],
    part: str,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    on_network: Callable[[int, str], None] = lambda number, name: None,
    **options: Any,
) -> tuple[dict[str, Any], list[NetworkScore]]:
    """Score each network on the images of the part that none of them has seen.

    Args:
        request: see `open_holdout`.
        weights: two weights files or more.
        part: `val`, `test` or `all`.
        replicates: bootstrap draws of all intervals.
        seed: of the bootstrap.
        on_network: called with number and name before each network is scored.
        options: further arguments of `score_holdout`.

    Returns:
        What `comparison.json` holds, as plain values, and each network's scoring. The former has
        the number of images, the classes that all networks have, and for each network, in the order
        given, a distinct name, what its publisher says of it, its stamps, facts and figures, its
        AUROCs less the first network's, and the p-value of the mean difference, corrected for the
        number of networks (Holm).

    Raises:
        ConfigError: fewer than two networks, or none of their classes in common.
        ChexnetError: see `open_holdout`; or no image is left.
    """
    if len(weights) < 2:
        raise ConfigError(f"--weights: found {len(weights)}, expected two networks or more.")
    opened = [_open(request, path, part) for path in weights]
    known = [holdout.metadata.classes for holdout in opened]
    classes = [name for name in known[0] if all(name in other for other in known)]
    if not set(classes) & set(FINDINGS):
        raise ConfigError("The networks have no finding in common, so nothing can be compared.")
    rows = [holdout.datamodule.rows(part) for holdout in opened]
    common = reduce(np.intersect1d, rows)
    if not len(common):
        pairs = zip(weights, rows, strict=True)
        counts = ", ".join(f"{path.name} {len(own):,}" for path, own in pairs)
        raise LeakError(
            f"No image of the {part} part was left unseen by all networks (clean for each: "
            f"{counts}). Leave out the network that has seen the most."
        )
    names = [
        (holdout.facts.weights.network if holdout.facts.weights else None) or path.stem
        for path, holdout in zip(weights, opened, strict=True)
    ]
    networks: list[NetworkScore] = []
    rows_of_json = []
    for place, (name, holdout) in enumerate(zip(_distinct(names), opened, strict=True), 1):
        on_network(place, name)
        shared = holdout.only(common)
        answers = score_holdout(shared, **options)
        scores = answers.take(np.arange(len(answers.images)), classes)
        calibrated = validation_choices(holdout.metadata) is not None
        summary = summarise(scores, replicates=replicates, seed=seed)
        less = as_dict(compare(scores, networks[0].scores, replicates, seed)) if networks else None
        networks.append(NetworkScore(shared.facts, scores, summary))
        published = shared.facts.weights
        rows_of_json.append(
            {
                "name": name,
                "published": published.published if published else None,
                "published_source": published.published_source if published else None,
                "chosen_on": holdout.metadata.provenance.get("chosen_on"),
                "stamps": [
                    *([LEAKY] if shared.facts.leaky else []),
                    *shared.facts.stamps(calibrated=calibrated),
                ],
                "facts": shared.facts,
                **summary.as_dict(),
                "against_first": less,
            }
        )
    gaps = {row["name"]: (row["against_first"] or {}).get(MEAN) for row in rows_of_json}
    corrected = holm({name: gap["p"] for name, gap in gaps.items() if gap and gap["p"] is not None})
    content = {
        "part": part,
        "images": len(common),
        "images_of_part": max(holdout.facts.clean_of or 0 for holdout in opened),
        "classes": classes,
        "classes_left_out": sorted(set().union(*known) - set(classes)),
        "notes": _notes(opened, part),
        "replicates": replicates,
        "networks": [row | {"p_holm": corrected.get(row["name"])} for row in rows_of_json],
    }
    return plain(content), networks


def _open(request: DataRequest, path: Path, part: str) -> Holdout:
    try:
        return open_holdout(request, path, part, seen="skip")
    except LeakError as error:
        raise LeakError(f"{path.name}: {error} Leave this network out.") from error


def _distinct(names: Sequence[str]) -> list[str]:
    """The same names; a repeated one gets a number from its second time on."""
    counts = [names[:place].count(name) for place, name in enumerate(names)]
    return [
        f"{name} ({count + 1})" if count else name
        for name, count in zip(names, counts, strict=True)
    ]


def _notes(opened: Sequence[Holdout], part: str) -> list[str]:
    notes = [note for holdout in opened for note in holdout.datamodule.notes]
    if part == "val":
        notes.append("The validation part chose the weights of networks trained by this project.")
    infos = [holdout.facts for holdout in opened]
    if len({(info.split, info.split_seed, str(info.fold)) for info in infos}) > 1:
        notes.append(
            "The networks were trained on other splits: scored are images that are in this part "
            "for each of them."
        )
    return list(dict.fromkeys(notes))
