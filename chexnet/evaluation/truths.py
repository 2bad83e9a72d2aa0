"""The same answers against other truths: each of NIH's two label tables, and two lists of images.

NIH changed the labels of 181 images, all of them boxed images of the official test list: figures by
the two tables are not comparable, and a paper seldom says which it used.

NIH's official test list has 25,596 images; the one that arnoweng/CheXNet publishes has 22,433, and
most of the official one's images stand in its training part. So a network that was trained by
either split has seen images of the other's test list, and its figure there is left blank.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.datasets import targets_of
from chexnet.data.nih import TABLES, read_folder
from chexnet.data.splits import name_hashes
from chexnet.data.tables import is_among
from chexnet.evaluation.intervals import REPLICATES
from chexnet.evaluation.scores import Figures, Scores
from chexnet.evaluation.summary import Summary, summarise

LIST_TITLES = {
    "official": "NIH's official test list",
    "2017": "test list of arnoweng/CheXNet (2017)",
}
Hashes = tuple[np.ndarray, np.ndarray]
"""Of the images and of the patients that networks have seen, see `name_hashes`."""


def both_tables(
    scores: Scores,
    data: Path,
    *,
    known: Summary | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Score the same answers by each table.

    Args:
        scores: the answers.
        data: folder that holds both tables.
        known: figures of `scores`; not computed again where a table gives the same labels.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Returns:
        Counts of the images that stand in both tables: those whose labels, follow-up numbers or
        ages differ (by more than how they are written, `058Y`); label to the images that only the
        later table gives it, and only the earlier; version to images without a possible age (0 to
        120 years), told as unknown. And version to `Summary` by that table.

    Raises:
        DataError: a table is missing.
    """
    folders = {version: read_folder(data, version, need_images=False) for version in TABLES}
    tables = {version: folder.table.set_index("image") for version, folder in folders.items()}
    in_both = np.logical_and.reduce(
        [is_among(scores.images, table.index) for table in tables.values()]
    )
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

    versions = dict(zip(TABLES, (early, late), strict=True))
    pairs = zip(early["labels"], late["labels"], strict=True)
    return {
        "images_that_differ": sum(set(had) != set(has) for had, has in pairs),
        "images_in_both": len(shared.images),
        "labels_added_and_removed_by_v2020": changed,
        "follow_up_numbers_that_differ": n_mismatched("follow_up"),
        "ages_that_differ": n_mismatched("age"),
        "without_a_possible_age": {
            version: int(table["age"].isna().sum()) for version, table in versions.items()
        },
        **{version: figures_by(table) for version, table in versions.items()},
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
) -> dict[str, Figures]:
    """Figures of each list by itself.

    Args:
        scores: of any images.
        table: see `DataFolder.table`.
        lists: `official` and `2017` to image names; one that is not at hand is left out.
        seen: see `seen_by`; None where nobody can tell, which blanks nothing.
        whole: figures of all of the scores, where they are at hand, to save their computing.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Returns:
        Key of the list to its title, its images (0 where it is not at hand), those that were
        scored, and `figures` of these: a `Summary`, or None where `reason` says why.
    """

    def figures_of(key: str, names: Collection[str]) -> Figures:
        rows = np.flatnonzero(is_among(scores.images, names))
        all_scored = len(rows) == len(scores.images)
        reason = _seen(names, table, seen) if names else "the list is not at hand"
        if not reason and not len(rows):
            reason = "none of its images was scored"
        if not reason and not all_scored and len(rows) < len(names):
            # What two lists have in common is neither of them.
            reason = f"only {len(rows):,} of its {len(names):,} images were scored, beside others"
        summary = whole if all_scored else None
        return {
            "title": LIST_TITLES[key],
            "images_of_list": len(names),
            "images_scored": len(rows),
            "reason": reason or None,
            "figures": None
            if reason
            else summary or summarise(scores.take(rows), replicates=replicates, seed=seed),
        }

    return {key: figures_of(key, lists.get(key, ())) for key in LIST_TITLES}


def _seen(names: Collection[str], table: pd.DataFrame, seen: Hashes | None) -> str:
    if seen is None:
        return ""
    patients = table["patient"][is_among(table["image"], names)]
    known = [
        int(np.isin(name_hashes(of), hashes).sum())
        for of, hashes in zip((names, patients), seen, strict=True)
    ]
    if not any(known):
        return ""
    return f"the network has seen {known[0]:,} of its images and {known[1]:,} of its patients"
