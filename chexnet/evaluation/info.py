"""What a scoring is of: data, part and network, for every report and JSON file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chexnet.data.folder import NIH
from chexnet.metadata import DataInfo, Metadata


@dataclass(frozen=True)
class WeightsInfo:
    """The weights file that was scored, and its training.

    Attributes:
        file: its name.
        trained_on: file name of the label table that it was trained with; of a network from
            elsewhere, the title of its training list.
        train_fingerprint: of the images that it was trained on; None for a network from elsewhere.
        epoch: the best epoch, whose weights these are; None where it is not known.
        origin: what training began with, or where the network comes from.
        date: when the weights were written.
        code: version of the project that wrote them.
        imported: a network from elsewhere. This and the rest are written only where they say
            something.
        network: its name in the registry.
        published: mean AUROC of the 14 findings, as its publisher gives it.
        published_source: where it was read.
        stamps: what its figures must not be shown without; see `STAMPS`.
        pictures: the data set whose pictures it was trained on; None for NIH's.
    """

    file: str
    trained_on: str
    train_fingerprint: str | None
    epoch: int | None
    origin: str
    date: str
    code: str
    imported: bool = False
    network: str | None = None
    published: float | None = None
    published_source: str | None = None
    stamps: tuple[str, ...] = ()
    pictures: str | None = None

    @classmethod
    def of(cls, file: str, metadata: Metadata) -> "WeightsInfo":
        """What a weights file says of itself.

        Args:
            file: its name.
            metadata: its description; without `provenance["data"]` it is from elsewhere.
        """
        made = metadata.provenance
        plain = {key: made.get(key, "n/a") for key in ("origin", "date", "code")}
        if "data" in made:
            trained = made["data"]
            fingerprint = trained["fingerprints"]["train"]
            pictures = None if (of := metadata.data.pictures) == NIH else of
            return cls(
                file, trained["table"], fingerprint, made["epoch"], pictures=pictures, **plain
            )
        title = (metadata.seen or {}).get("title", "an unknown list")
        confirmed = (metadata.seen or {}).get("confirmed", False)
        return cls(
            file,
            f"{title}, {'confirmed' if confirmed else 'unconfirmed'}",
            None,
            None,
            **plain,
            imported=True,
            network=made.get("network"),
            published=made.get("published"),
            published_source=made.get("published_source"),
            stamps=tuple(_stamps(metadata)),
        )

    def as_dict(self) -> dict[str, Any]:
        """What is known, for JSON."""
        left_out = () if self.imported else ("imported",)
        return {k: v for k, v in vars(self).items() if v not in (None, ()) and k not in left_out}


TEST_CHOSEN = "epoch chosen on the test list"
RECONSTRUCTED = "reconstructed training list"
UNKNOWN_LIST = "training list not known"
SEEN_CALIBRATION = "calibrated on images that it has seen"
NOT_CALIBRATED = "not calibrated"
STAMPS = {
    TEST_CHOSEN: "Its publisher kept the epoch that did best on the official test list: figures of "
    "images on that list are optimistically biased.",
    RECONSTRUCTED: "Nobody confirmed which images it was trained on: the list was reconstructed "
    "from its public training script, and images that count as clean may not be.",
    UNKNOWN_LIST: "Nobody knows which images it was trained on: all of NIH's count as seen, and so "
    "must RSNA's, SIIM's and ChestX-Det's, which are NIH's images under other names.",
    SEEN_CALIBRATION: "Its calibration and thresholds were chosen on images that it was trained "
    "on, where it is surer than elsewhere.",
    NOT_CALIBRATED: "Its answers are scores that order images. They are no probabilities, and no "
    "threshold was chosen.",
}
"""Each stamp of a network from elsewhere, and what it means."""


def _stamps(metadata: Metadata) -> Iterator[str]:
    if "test" in str(metadata.provenance.get("chosen_on")):
        yield TEST_CHOSEN
    seen = metadata.seen or {}
    if not seen.get("confirmed"):
        yield UNKNOWN_LIST if seen.get("whole", True) else RECONSTRUCTED
    if metadata.validation.get("chosen_on_seen"):
        yield SEEN_CALIBRATION


@dataclass(frozen=True, kw_only=True)
class ScoringInfo:
    """What was scored; the names are the keys in JSON, in this order.

    Attributes:
        table: file name of the label table.
        label_version: `2017`, `v2020` or `unknown`.
        split: `official`, `patient`, `image`, or `none` where no split was asked for.
        split_seed: of the split.
        fold: number and count of folds, None without folds.
        leaky: patients stand on both sides, or may; every figure is stamped.
        phantoms: some images of the part are drawn. This and the next six are None for a file of
            predictions.
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
        clean_of: images of the part that are here, where only those were kept of which the
            network has seen neither the image nor the patient; None where nothing was left out.
        dataset: of a table that is not NIH's; None for NIH's. So are the next two, see `DataInfo`.
        label_mapping: how its labels became ours.
        images_of: the data set whose images these are under other names.
        copy: see `DataFacts`; None for NIH's own files.
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
    weights: WeightsInfo | None = None
    tta: str | None = None
    ensemble: list[WeightsInfo] | None = None
    predictions: str | None = None
    images_of_part: int | None = None
    images_in_part: int | None = None
    clean_of: int | None = None
    dataset: str | None = None
    label_mapping: Mapping[str, Any] | None = None
    images_of: str | None = None
    copy: str | None = None

    @classmethod
    def of_data(cls, data: DataInfo | Mapping[str, Any], **others: Any) -> "ScoringInfo":
        """Facts of an opened data folder, and others that are added or take their place.

        Args:
            data: see `DataModule.facts`; themselves or as plain values.
            others: by the names of the attributes.
        """
        plain = data if isinstance(data, Mapping) else data.as_dict()
        made = cls(**{**plain, **others})
        # One drawn image in training makes nothing drawn that is scored.
        return replace(made, phantoms=bool((made.drawn or {}).get(made.part, made.phantoms)))

    def stamps(self, *, calibrated: bool) -> list[str]:
        """What the figures must not be shown without, see `STAMPS`; none for networks of ours.

        Args:
            calibrated: something was chosen on validation images.
        """
        stamps = dict.fromkeys(stamp for weights in self.networks for stamp in weights.stamps)
        if not calibrated and any(weights.imported for weights in self.networks):
            stamps[NOT_CALIBRATED] = None
        return list(stamps)

    @property
    def networks(self) -> list[WeightsInfo]:
        """What was scored; none for a file of predictions."""
        return self.ensemble or ([self.weights] if self.weights else [])

    @property
    def external(self) -> bool:
        """Whether the pictures are of another data set than every network was trained on.

        False for a file of predictions, and for a network whose training list nobody knows.
        """
        here = self.images_of or self.dataset or NIH
        return bool(self.networks) and all(
            (weights.pictures or NIH) != here and UNKNOWN_LIST not in weights.stamps
            for weights in self.networks
        )

    @property
    def all_drawn(self) -> bool:
        """Whether every image of the part is a phantom, so that its labels are certain."""
        counts = [of.get(self.part, sum(of.values())) for of in (self.drawn, self.images) if of]
        return bool(self.phantoms) and len(set(counts)) < 2

    @property
    def of_nih(self) -> bool:
        """Whether the labels are NIH's own, of its whole table: an excerpt is not told apart."""
        return not self.phantoms and self.label_version in ("2017", "v2020")

    @property
    def fingerprint(self) -> str:
        """Of the part that was scored; empty where it has none."""
        return (self.fingerprints or {}).get(self.part, "")

    def as_dict(self) -> dict[str, Any]:
        """What is known, for JSON.

        `fold` is written wherever a data folder was opened, also as None.
        """
        opened = self.images_present is not None
        return {
            name: value
            for name, value in vars(self).items()
            if value is not None or (name == "fold" and opened)
        }
