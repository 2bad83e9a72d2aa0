"""A network, and pictures that it may be scored on because it never saw them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from chexnet.data.datamodule import DataModule, open_datamodule
from chexnet.data.datasets import StoredDataSet
from chexnet.data.folder import DataFolder
from chexnet.data.formats import DataRequest, open_folder
from chexnet.data.splits import LEAKY, name_hashes, refuse_trained, unseen
from chexnet.errors import CheckpointError, LeakError
from chexnet.evaluation.info import ScoringInfo, WeightsInfo
from chexnet.metadata import Metadata
from chexnet.model import DenseNet121, load_weights

Seen = Literal["refuse", "skip", "stamp"]
"""What becomes of images that the network was trained on, or on whose patient: the whole part is
refused, or they are left out, or they are scored and every figure is stamped."""


@dataclass(frozen=True)
class Holdout:
    """What is scored.

    Attributes:
        model: on the CPU, in eval mode.
        metadata: what its weights file says of itself.
        datamodule: the data folder, divided.
        part: `val`, `test` or `all`.
        facts: of data and weights.
    """

    model: DenseNet121
    metadata: Metadata
    datamodule: DataModule
    part: str
    facts: ScoringInfo

    @cached_property
    def data_set(self) -> StoredDataSet:
        """The images of the part.

        Raises:
            DataError: none of them is here.
        """
        return self.datamodule.data_set(self.part, self.metadata.classes)

    def picture(self, name: str) -> np.ndarray:
        """What the network sees of an image of the part, uint8 (size, size)."""
        return self.data_set.batch(np.array([self._places[name]]))[0][0, 0].numpy()

    def only(self, rows: np.ndarray) -> "Holdout":
        """The same, with fewer rows of the table in its part."""
        datamodule = self.datamodule.only(self.part, rows)
        data = datamodule.facts
        facts = replace(
            self.facts,
            phantoms=bool(data.drawn[self.part]),
            fingerprints=data.fingerprints,
            images=data.images,
            drawn=data.drawn,
        )
        return replace(self, datamodule=datamodule, facts=facts)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.data_set.images)}


def open_holdout(
    request: DataRequest,
    weights: Path,
    part: str,
    *,
    seen: Seen = "refuse",
) -> Holdout:
    """Open a weights file and the part of a data folder that it is to be scored on.

    On the data it was trained on, the division is that of its training; on other data, and for
    every network from elsewhere, it is the official one where there are lists, else patient-wise.

    Args:
        request: which data; its split, seed and fold do not count, see above.
        weights: a weights file.
        part: `val`, `test`, or `all` images of the folder (data that it was not trained on).
        seen: what becomes of images and patients that it was trained on.

    Raises:
        ChexnetError: no weights, no data, or the network was trained on these images or patients
            (with `skip`: on all of them).
    """
    model, metadata = load_weights(weights)
    hashes = metadata.trained_hashes
    if hashes is None:
        raise CheckpointError(
            f"{weights} does not say what it was trained on, so it cannot be scored honestly."
        )
    trained_data = metadata.provenance.get("data", {})
    folder = open_folder(request)
    fold = trained_data.get("fold")
    hidden = refuse_other_names(folder, metadata, allow_leak=seen == "stamp")
    same_data = bool(trained_data) and np.isin(name_hashes(folder.table["image"]), hashes[0]).any()
    divided = replace(
        request,
        split=trained_data["split"] if same_data else "auto",
        seed=trained_data.get("split_seed", 0),
        fold=tuple(fold) if fold and same_data else None,
    )
    datamodule = open_datamodule(
        divided, metadata.preprocessing, folder=folder, allow_leak=seen == "stamp"
    )
    rows = datamodule.rows(part)
    if seen == "skip":
        kept = unseen(folder.table, rows, *hashes)
        if len(rows) and not len(kept):
            raise LeakError(
                f"None of the {len(rows):,} images of the {part} part is clean: these weights have "
                f"seen each, or another image of its patient.{_about(metadata)}"
            )
        datamodule = datamodule.only(part, kept)

    def advice() -> str:
        rest = len(unseen(folder.table, rows, *hashes))
        offer = f" --clean scores the {rest:,} images of patients that it has not seen."
        return (offer if rest else "") + _about(metadata)

    leaky = refuse_trained(
        folder.table, datamodule.rows(part), *hashes, allow_leak=seen == "stamp", advice=advice
    )
    if folder.mapping and (metadata.seen or {}).get("whole"):
        datamodule.notes.append(
            "Nobody knows which images this network was trained on: it may have seen those of "
            f"{folder.mapping.title}, and no guard can tell."
        )
    facts = ScoringInfo.of_data(
        datamodule.facts,
        leaky=bool(
            datamodule.split.leaky or leaky or hidden or (same_data and trained_data["leaky"])
        ),
        part=part,
        weights=WeightsInfo.of(weights.name, metadata),
        clean_of=len(rows) if seen == "skip" else None,
    )
    return Holdout(model, metadata, datamodule, part, facts)


def refuse_other_names(folder: DataFolder, metadata: Metadata, *, allow_leak: bool) -> bool:
    """Refuse images that a network may have seen under names that nobody can match.

    SIIM's and ChestX-Det's are NIH's, and nobody published which: whoever saw the one has seen the
    other.

    Args:
        folder: of the images to be scored.
        metadata: of the network.
        allow_leak: do not refuse, but say so by the return value.

    Raises:
        LeakError: says whose images they are.
    """
    trained = metadata.data
    of_phantoms = metadata.trained_on == "phantoms" and not metadata.from_elsewhere
    pictures = folder.images_of or folder.dataset
    hidden = bool(folder.images_of or trained.images_of)
    if not hidden or of_phantoms or pictures != trained.pictures:
        return False
    if allow_leak:
        return True
    title = folder.mapping.title if folder.mapping else folder.table_name
    raise LeakError(
        f"These weights were trained on images of {pictures.upper()}, and so are those of {title}, "
        "under names that nobody can match: all of them count as seen. Score other images, or pass "
        f"--allow-leak to have the figures stamped {LEAKY}."
    )


def _about(metadata: Metadata) -> str:
    """What is known of the training list of a network from elsewhere."""
    seen = metadata.seen
    if not seen or "data" in metadata.provenance:
        return ""
    how = "confirmed" if seen.get("confirmed") else "unconfirmed"
    also = " and ".join(seen.get("also", ()))
    more = f" {also} are made of its images and count as seen too." if also else ""
    return f" Its training list: {seen['title']}, {how}. {seen.get('note', '')}{more}"
