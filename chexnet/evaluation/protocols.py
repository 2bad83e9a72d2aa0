"""Two lists of test images that published figures are of, scored apart and never mixed.

NIH's official test list has 25,596 images; the one that arnoweng/CheXNet publishes has 22,433, and
most of the official one's images stand in its training part. So a network that was trained by
either split has seen images of the other's test list, and its figure there is left blank.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexnet.data.splits import name_hashes
from chexnet.evaluation.bootstrap import NO_INTERVAL, REPLICATES
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.summary import Summary, summarise
from chexnet.evaluation.summary import as_dict as figures
from chexnet.model import load_weights

TITLES = {"official": "NIH's official test list", "2017": "test list of arnoweng/CheXNet (2017)"}
Hashes = tuple[np.ndarray, np.ndarray]
"""Of the images and of the patients that networks have seen, see `name_hashes`."""


@dataclass(frozen=True)
class ProtocolFigures:
    """What a run can say of one list.

    Attributes:
        key: `official` or `2017`.
        size: images of the list; 0 where it is not at hand.
        scored: of them, images that were scored.
        reason: why there is no figure; empty where there is one.
        summary: figures of these images; None where there is none.
    """

    key: str
    size: int
    scored: int
    reason: str
    summary: Summary | None

    @property
    def title(self) -> str:
        """For a reader."""
        return TITLES[self.key]


def seen_by(weights: Sequence[Path]) -> Hashes | None:
    """What any of some networks has seen; None where there are none, or one does not say.

    Raises:
        ChexnetError: a file is no weights file.
    """
    found: list[Hashes] = []
    for path in weights:
        metadata = load_weights(path)[1]
        own, seen = metadata.provenance, metadata.seen or {}
        images = own.get("trained_images", seen.get("images"))
        patients = own.get("trained_patients", seen.get("patients"))
        if images is None or patients is None:
            return None
        found.append((images.numpy(), patients.numpy()))
    if not found:
        return None
    return (
        np.unique(np.concatenate([images for images, _ in found])),
        np.unique(np.concatenate([patients for _, patients in found])),
    )


def protocol_figures(
    scores: Scores,
    table: pd.DataFrame,
    lists: Mapping[str, Collection[str]],
    seen: Hashes | None,
    *,
    whole: Summary | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[ProtocolFigures]:
    """Figures of each list by itself.

    Args:
        scores: of any images.
        table: see `DataFolder.table`.
        lists: `official` and `2017` to image names; one that is not at hand is left out.
        seen: see `seen_by`; None where nobody can tell, which blanks nothing.
        whole: figures of all of the scores, where they are at hand, to save their computing.
        replicates: bootstrap draws.
        seed: of the bootstrap.
    """
    found = []
    for key in TITLES:
        names = lists.get(key)
        if not names:
            found.append(ProtocolFigures(key, 0, 0, "the list is not at hand", None))
            continue
        rows = np.flatnonzero(pd.Index(scores.images).isin(list(names)))
        reason, summary = _seen(names, table, seen), None
        if not reason and not len(rows):
            reason = "none of its images was scored"
        if not reason and len(rows) not in (len(names), len(scores.images)):
            # What two lists have in common is neither of them.
            reason = f"only {len(rows):,} of its {len(names):,} images were scored, beside others"
        if not reason:
            summary = whole if len(rows) == len(scores.images) else None
            summary = summary or summarise(scores.take(rows), replicates=replicates, seed=seed)
        found.append(ProtocolFigures(key, len(names), len(rows), reason, summary))
    return found


def _seen(names: Collection[str], table: pd.DataFrame, seen: Hashes | None) -> str:
    if seen is None:
        return ""
    patients = table["patient"][table["image"].isin(names)]
    known = [
        int(np.isin(name_hashes(of), hashes).sum())
        for of, hashes in zip((names, patients), seen, strict=True)
    ]
    if not any(known):
        return ""
    return f"the network has seen {known[0]:,} of its images and {known[1]:,} of its patients"


def told(found: Sequence[ProtocolFigures]) -> str:
    """A line a list, for the commands."""
    lines = ["Mean AUROC of the findings on the two lists that published figures are of:"]
    for one in found:
        if one.summary:
            mean, intervals = one.summary.findings, one.summary.intervals
            interval = intervals.findings if intervals else NO_INTERVAL
            shown = f" ({interval.low:.4f}-{interval.high:.4f})" if interval.known else ""
            lines.append(f"- {one.title}, {one.scored:,} of {one.size:,} images: {mean}{shown}")
        else:
            lines.append(f"- {one.title}: blank, {one.reason}")
    return "\n".join(lines)


def as_dict(found: Sequence[ProtocolFigures]) -> dict[str, Any]:
    """The figures for JSON."""
    return {
        one.key: {
            "title": one.title,
            "images_of_list": one.size,
            "images_scored": one.scored,
            "reason": one.reason or None,
            "figures": figures(one.summary) if one.summary else None,
        }
        for one in found
    }
