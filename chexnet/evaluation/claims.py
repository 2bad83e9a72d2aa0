"""What a claimed mean AUROC is above: published values, split by split, and what no pixel needs.

A split by image puts most held-out images beside another image of their patient, and the labels of
that patient's other images alone reach a mean AUROC of about 0.76 (`scripts.leakage`). So a claim
says little before its split is known, and a mean over 15 rows is not one over 14 findings.
"""

from dataclasses import dataclass

import numpy as np

from chexnet.errors import ConfigError
from chexnet.evaluation.report.published import Published, published
from chexnet.labels import FINDINGS

SPLITS = ("unknown", "official", "patient", "image")
ROWS = (14, 15)
MEMORY = {"image": 0.765, "patient": 0.5, "official": 0.5}
"""Mean AUROC of the 14 findings of the patient-memory baseline, by split: measured by us on NIH's
whole table (v2020), 20 % held out, seed 0; docs/evaluation.md. Exactly 0.5 where no patient stands
on both sides."""


@dataclass(frozen=True)
class Bar:
    """Something that a claim is above, or not.

    Attributes:
        name: what it is.
        value: a mean AUROC.
        comparable: it is of the split that the claim says it is of.
    """

    name: str
    value: float
    comparable: bool


def bars(rows: int, split: str) -> list[Bar]:
    """What a claim is compared with, the lowest first.

    Args:
        rows: 14 findings, or 15 rows with No Finding.
        split: `official`, `patient`, `image` or `unknown`.

    Raises:
        ConfigError: another number of rows, or another split.
    """
    if rows not in ROWS or split not in SPLITS:
        raise ConfigError(
            f"Found {rows} rows and split {split!r}, expected {' or '.join(map(str, ROWS))} rows "
            f"and {', '.join(SPLITS)}."
        )
    found = []
    for one, name in (("image", "split by image"), ("patient", "split by patient")):
        own = split == one or (split == "official" and one == "patient")
        label = f"patient memory alone (no pixel), {name}"
        found.append(Bar(label, MEMORY[one], own and rows == 14))
    for kind, title in (("official", "official test list"), ("patient", "other splits by patient")):
        tables = [one for one in published() if _kind(one) == kind and not np.isnan(one.mean)]
        values = [one.mean for one in tables]
        best = max(tables, key=lambda one: one.mean)
        own = split == kind and rows == 14
        label = f"published on {title}"
        found.append(Bar(f"mean of {len(values)} {label}", float(np.mean(values)), own))
        found.append(Bar(f"best {label} ({best.name})", best.mean, own))
        if rows == 15:
            # Nobody prints No Finding: as if it were told without an error.
            most = (len(FINDINGS) * best.mean + 1) / 15
            found.append(
                Bar(
                    f"the same over 15 rows, were No Finding told perfectly: at most, {title}",
                    most,
                    split == kind,
                )
            )
    return sorted(found, key=lambda bar: bar.value)


def _kind(one: Published) -> str:
    """`official`, or `patient`: every other split in the file is by patient or not said."""
    return "official" if one.protocol == "official" else "patient"


def claim_text(claim: float, rows: int, split: str) -> str:
    """Which bars a claim is above, in lines.

    Args:
        claim: a mean AUROC, in [0, 1].
        rows: see `bars`; so is the split.

    Raises:
        ConfigError: see `bars`; or the claim is no AUROC.
    """
    if not 0 <= claim <= 1:
        raise ConfigError(f"Found a mean AUROC of {claim:g}, expected one between 0 and 1.")
    found = bars(rows, split)
    lines = [f"A mean AUROC of {claim:g} over {rows} rows, split: {split}."]
    for bar in found:
        side = "above" if claim > bar.value else "not above"
        note = "" if bar.comparable else "; not of the same rows and split"
        lines.append(f"- {side:<9} {bar.value:.4f}  {bar.name}{note}")
    over = [bar for bar in found if claim > bar.value]
    lines.append(f"It is above {len(over)} of {len(found)}.")
    if len(over) == len(found):
        lines.append(
            "It is above everything that is published. Before it is believed: which patients "
            "stand on both sides, which images chose the epoch, and which label table was used?"
        )
    if split in ("unknown", "image"):
        lines.append(
            "A split by image lets patients leak: a figure of it says nothing about new patients. "
            "python -m scripts.leakage --data DATA measures how much."
        )
    if rows == 15:
        lines.append(
            "15 rows are the 14 findings and No Finding; no published table here prints that row, "
            "so the claim's mean over the 14 has to be asked for."
        )
    return "\n".join(lines)
