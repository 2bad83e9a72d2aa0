"""Weights files that look like imported ones, made from a network of ours."""

from dataclasses import replace
from pathlib import Path

import torch

from chexnet.data.datamodule import open_datamodule
from chexnet.data.formats import DataRequest
from chexnet.data.splits import name_hashes
from chexnet.model import load_weights, save_weights
from chexnet.transforms import Preprocessing


def seen_of(table, *, confirmed: bool = True, whole: bool = False) -> dict:
    """What `Metadata.seen` holds of the rows of a table."""
    images, patients = (torch.from_numpy(name_hashes(table[of])) for of in ("image", "patient"))
    return {
        "list": "a list",
        "title": "somebody's list",
        "note": "Somebody made it.",
        "confirmed": confirmed,
        "images": images,
        "patients": patients,
        "count": len(images),
        "whole": whole,
        "also": [],
    }


def rows_seen(data: Path, *parts: str, **how: bool) -> dict:
    """The same of parts of a data folder, as `scripts.train` divides it."""
    opened = open_datamodule(DataRequest(data), Preprocessing(size=64))
    rows = [row for part in parts for row in opened.rows(part)]
    return seen_of(opened.folder.table.iloc[rows], **how)


def as_imported(source: Path, target: Path, seen: dict, **provenance: object) -> Path:
    """Write `source` again as if it had been imported.

    Args:
        source: weights of ours.
        target: the file to write.
        seen: see `seen_of`.
        provenance: what an importer adds, `chosen_on` for example.
    """
    model, metadata = load_weights(source)
    made = {"origin": "somebody's file", "date": "2026-11-24", "code": "1", "network": "somebody"}
    made |= provenance
    described = replace(
        metadata, provenance=made, validation={}, seen=seen, trust=None, mean_contributions=None
    )
    save_weights(target, model, described)
    return target
