"""The same answers against other truths: each of NIH's two label tables, and two lists of images.

NIH changed the labels of 181 images, all of them boxed images of the official test list: figures by
the two tables are not comparable, and a paper seldom says which it used.

NIH's official test list has 25,596 images; the one that arnoweng/CheXNet publishes has 22,433, and
most of the official one's images stand in its training part. So a network that was trained by
either split has seen images of the other's test list, and its figure there is left blank.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexnet.data.datasets import targets_of
from chexnet.data.nih import TABLES, read_folder
from chexnet.data.splits import name_hashes
from chexnet.evaluation.intervals import NO_INTERVAL, REPLICATES
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import Summary, summarise

LIST_TITLES = {
    "official": "NIH's official test list",
    "2017": "test list of arnoweng/CheXNet (2017)",
}
Hashes = tuple[np.ndarray, np.ndarray]
"""Of the images and of the patients that networks have seen, see `name_hashes`."""


@dataclass(frozen=True)
class BothTables:
    """What two tables say of the images that stand in both.

    Attributes:
        files: version to file name of the table.
        scored: images that were scored.
        images: of them, images of both tables.
        differing: of these, images whose labels differ.
        summaries: version to figures of these images.
        changed: label to images that only the later table gives it, and only the earlier.
        follow_ups: images whose follow-up numbers differ.
        ages: images whose ages differ, by more than how they are written (`058Y`).
        impossible: version to images without a possible age (0 to 120 years), told as unknown.
    """

    files: dict[str, str]
    scored: int
    images: int
    differing: int
    summaries: dict[str, Summary]
    changed: dict[str, tuple[int, int]]
    follow_ups: int
    ages: int
    impossible: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The figures under the keys of `metrics.json`."""
        return {
            "images_that_differ": self.differing,
            "images_in_both": self.images,
            "labels_added_and_removed_by_v2020": self.changed,
            "follow_up_numbers_that_differ": self.follow_ups,
            "ages_that_differ": self.ages,
            "without_a_possible_age": self.impossible,
            **self.summaries,
        }


def both_tables(
    scores: Scores,
    data: Path,
    *,
    known: Summary | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> BothTables:
    """Score the same answers by each table.

    Args:
        scores: the answers.
        data: folder that holds both tables.
        known: figures of `scores`; not computed again where a table gives the same labels.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        DataError: a table is missing.
    """
    folders = {version: read_folder(data, version, need_images=False) for version in TABLES}
    tables = {version: folder.table.set_index("image") for version, folder in folders.items()}
    names = pd.Index(scores.images)
    in_both = np.logical_and.reduce([names.isin(table.index) for table in tables.values()])
    shared = scores.take(np.flatnonzero(in_both))
    early, late = (table.loc[shared.images] for table in tables.values())
    changed = {}
    for name in sorted(set().union(*early["labels"], *late["labels"])):
        had, has = (np.array([name in labels for labels in t["labels"]]) for t in (early, late))
        if (had != has).any():
            changed[name] = (int((has & ~had).sum()), int((had & ~has).sum()))

    def n_mismatched(column: str) -> int:
        same = (early[column] == late[column]) | (early[column].isna() & late[column].isna())
        return int((~same).sum())

    def figures_by(table: pd.DataFrame) -> Summary:
        classes = {name: place for place, name in enumerate(shared.classes)}
        targets = targets_of(table["labels"].tolist(), classes).astype(np.int8)
        if known and in_both.all() and np.array_equal(targets, scores.targets):
            return known
        return summarise(replace(shared, targets=targets), replicates=replicates, seed=seed)

    pairs = zip(early["labels"], late["labels"], strict=True)
    return BothTables(
        files={version: folder.table_name for version, folder in folders.items()},
        scored=len(scores.images),
        images=len(shared.images),
        differing=sum(set(had) != set(has) for had, has in pairs),
        summaries={
            version: figures_by(table) for version, table in zip(TABLES, (early, late), strict=True)
        },
        changed=changed,
        follow_ups=n_mismatched("follow_up"),
        ages=n_mismatched("age"),
        impossible={
            version: int(table["age"].isna().sum())
            for version, table in zip(TABLES, (early, late), strict=True)
        },
    )


def tables_told(found: BothTables) -> list[str]:
    """What differs between the tables, in sentences."""
    early, late = found.files
    sentences = [
        f"Labels that differ between NIH's two tables: {found.differing:,} of {found.images:,} "
        f"images{f' in both ({found.scored:,} scored)' if found.images < found.scored else ''}."
    ]
    if found.changed:
        changes = ", ".join(
            f"{name} +{added:,}{f' -{removed:,}' if removed else ''}"
            for name, (added, removed) in found.changed.items()
        )
        sentences.append(f"From {early} to {late}: {changes}.")
    sentences.append(
        f"Follow-up numbers differ in {found.follow_ups:,} images and ages in {found.ages:,}; "
        f"images without a possible age (0 to 120 years), counted as unknown: "
        + ", ".join(f"{version} {count:,}" for version, count in found.impossible.items())
        + "."
    )
    return sentences


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
        return LIST_TITLES[self.key]

    def as_dict(self) -> dict[str, Any]:
        """The figures under the keys of `metrics.json`."""
        return {
            "title": self.title,
            "images_of_list": self.size,
            "images_scored": self.scored,
            "reason": self.reason or None,
            "figures": self.summary,
        }


def seen_by(networks: Sequence[Hashes | None]) -> Hashes | None:
    """What any of some networks has seen; None where there are none, or one does not say.

    Args:
        networks: `Metadata.trained_hashes` of each.
    """
    known = [hashes for hashes in networks if hashes is not None]
    if not known or len(known) < len(networks):
        return None
    images, patients = (np.unique(np.concatenate(of)) for of in zip(*known, strict=True))
    return images, patients


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
    for key in LIST_TITLES:
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


def lists_told(found: Sequence[ProtocolFigures]) -> str:
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
