"""The same answers against each of NIH's two label tables, of 2017 and of 2020.

NIH changed the labels of 181 images, all of them boxed images of the official test list: figures by
the two tables are not comparable, and a paper seldom says which it used.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.nih import TABLES, read_folder
from chexnet.evaluation.bootstrap import REPLICATES
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.predictions import relabelled
from chexnet.evaluation.summary import Summary, summarise
from chexnet.evaluation.summary import as_dict as figures


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
    compared = relabelled(scores, {name: one.table for name, one in folders.items()})
    early, late = (
        folders[version].table.set_index("image").loc[compared.images] for version in TABLES
    )
    names = sorted(set().union(*early["labels"], *late["labels"]))
    changed = {}
    for name in names:
        had, has = (np.array([name in labels for labels in t["labels"]]) for t in (early, late))
        if (had != has).any():
            changed[name] = (int((has & ~had).sum()), int((had & ~has).sum()))
    same_age = (early["age"] == late["age"]) | (early["age"].isna() & late["age"].isna())
    same_visit = (early["follow_up"] == late["follow_up"]) | (
        early["follow_up"].isna() & late["follow_up"].isna()
    )

    def figures_by(one: Scores) -> Summary:
        same = one.images == scores.images and np.array_equal(one.targets, scores.targets)
        return known if known and same else summarise(one, replicates=replicates, seed=seed)

    return BothTables(
        files={version: one.table_name for version, one in folders.items()},
        scored=len(scores.images),
        images=len(compared.images),
        differing=compared.differing,
        summaries={version: figures_by(one) for version, one in compared.scores.items()},
        changed=changed,
        follow_ups=int((~same_visit).sum()),
        ages=int((~same_age).sum()),
        impossible={
            version: int(table["age"].isna().sum())
            for version, table in zip(TABLES, (early, late), strict=True)
        },
    )


def as_dict(found: BothTables) -> dict[str, Any]:
    """The figures for JSON."""
    return {
        "images_that_differ": found.differing,
        "images_in_both": found.images,
        "labels_added_and_removed_by_v2020": {
            name: list(counts) for name, counts in found.changed.items()
        },
        "follow_up_numbers_that_differ": found.follow_ups,
        "ages_that_differ": found.ages,
        "without_a_possible_age": found.impossible,
        **{version: figures(summary) for version, summary in found.summaries.items()},
    }


def told(found: BothTables) -> list[str]:
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
