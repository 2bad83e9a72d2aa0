"""What a scoring is of: data, part and network, for every report and JSON file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol


class Facts(Protocol):
    """Facts that can be written as plain values."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""


@dataclass(frozen=True)
class WeightsFacts:
    """The weights file that was scored, and its training.

    Attributes:
        file: its name.
        trained_on: file name of the label table that it was trained with.
        train_fingerprint: of the images that it was trained on.
        epoch: the best epoch, whose weights these are.
        origin: what training began with.
        date: when the weights were written.
        code: version of the project that wrote them.
    """

    file: str
    trained_on: str
    train_fingerprint: str
    epoch: int
    origin: str
    date: str
    code: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ScoringFacts:
    """What was scored; the names are the keys in JSON, in this order.

    Attributes:
        table: file name of the label table.
        label_version: `2017`, `v2020` or `unknown`.
        split: `official`, `patient`, `image`, or `none` where no split was asked for.
        split_seed: of the split.
        fold: number and count of folds, None without folds.
        leaky: patients stand on both sides, or may; every figure is stamped.
        phantoms: some images are drawn. This and the next six are None for a file of predictions.
        images_in_table: rows of the label table.
        images_present: of them, images whose file is here.
        images_unreadable: of these, images left out because they cannot be read.
        fingerprints: part to the fingerprint of its images and labels.
        images: part to the number of its images.
        drawn: part to the number of its phantoms.
        part: `val`, `test` or `all`; empty where nothing was scored yet.
        weights: the network; None for a file of predictions.
        tta: `none` or `flip`; None where no probabilities were computed.
        ensemble: all networks where several were averaged.
        predictions: file name of the predictions that were scored; None for a network.
        images_of_part: images of the part that the file of predictions has; None for a network.
        images_in_part: images that the part has.
    """

    table: str
    label_version: str
    split: str
    split_seed: int | None = None
    fold: list[int] | None = None
    leaky: bool
    phantoms: bool | None = None
    images_in_table: int | None = None
    images_present: int | None = None
    images_unreadable: int | None = None
    fingerprints: Mapping[str, str] | None = None
    images: Mapping[str, int] | None = None
    drawn: Mapping[str, int] | None = None
    part: str = ""
    weights: WeightsFacts | None = None
    tta: str | None = None
    ensemble: list[WeightsFacts] | None = None
    predictions: str | None = None
    images_of_part: int | None = None
    images_in_part: int | None = None

    @classmethod
    def of_data(cls, data: Facts | Mapping[str, Any], **others: Any) -> "ScoringFacts":
        """Facts of an opened data folder, and others that are added or take their place.

        Args:
            data: see `DataModule.facts`; themselves or as plain values.
            others: by the names of the attributes.
        """
        plain = data if isinstance(data, Mapping) else data.as_dict()
        return cls(**{**plain, **others})

    @property
    def fingerprint(self) -> str:
        """Of the part that was scored; empty where it has none."""
        return (self.fingerprints or {}).get(self.part, "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without what is not known.

        `fold` is written wherever a data folder was opened, also as None.
        """
        opened = self.images_present is not None
        return {
            name: value
            for name, value in asdict(self).items()
            if value is not None or (name == "fold" and opened)
        }
