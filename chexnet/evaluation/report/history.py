"""A record of how often a test list was opened: `test_scores.csv` beside the weights.

Whoever scores the test list again and again, and keeps the best, has chosen on it. The record can
count only the scorings that were made beside that file.
"""

import csv
import io
from pathlib import Path
from typing import Any

from chexnet.errors import DataError
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.summary import Summary
from chexnet.files import plain, write_text
from chexnet.metadata import surroundings

NAME = "test_scores.csv"
COLUMNS = (
    *("date", "code", "weights", "tta", "table", "split", "part", "fingerprint", "images"),
    *("mean_auroc_findings", "leaky"),
)


def read_record(folder: Path) -> list[dict[str, str]]:
    """The scorings noted in a folder, oldest first; empty where there is no file.

    Raises:
        DataError: a file of that name that is no record.
    """
    path = folder / NAME
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise DataError(f"{path} is no record of test scorings. Move it away, and score again.")
    return rows


def note_scoring(folder: Path, row: dict[str, Any]) -> list[dict[str, str]]:
    """Add one scoring (a value for each of `COLUMNS`) and return all of them.

    Raises:
        DataError: see `read_record`.
    """
    rows = [*read_record(folder), {name: str(row[name]) for name in COLUMNS}]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / NAME, text.getvalue())
    return rows


def record_scoring(facts: ScoringInfo, summary: Summary, folder: Path) -> list[dict[str, str]]:
    """Note a scoring of test images beside its weights; one of validation images, or of a
    file of predictions, is not noted.

    Args:
        facts: of what was scored.
        summary: its figures.
        folder: of the weights.

    Raises:
        ChexnetError: the folder cannot be written, or holds another file of that name.
    """
    if facts.part == "val" or not facts.weights:
        return []
    made = surroundings()
    row = {
        "date": made["date"],
        "code": made["code"],
        "weights": " + ".join(weights.file for weights in facts.networks),
        "tta": facts.tta or "none",
        "table": facts.table,
        "split": facts.split,
        "part": facts.part,
        "fingerprint": facts.fingerprint,
        "images": summary.images,
        "mean_auroc_findings": plain(summary.findings.value),
        "leaky": facts.leaky,
    }
    return note_scoring(folder, row)
