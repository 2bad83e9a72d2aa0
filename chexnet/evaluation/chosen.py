"""What validation chooses and a weights file carries: calibration and thresholds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from chexnet.card import Card
from chexnet.evaluation.calibration import Calibration, calibrate, fit_calibrations
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.operating import choose_thresholds


@dataclass(frozen=True)
class FromValidation:
    """What was chosen on validation images, and nowhere else.

    Attributes:
        calibrations: label to calibration.
        thresholds: label to rule to calibrated probability, None for a class with too few images.
        source: where it comes from, for a reader.
    """

    calibrations: Mapping[str, Calibration]
    thresholds: Mapping[str, Mapping[str, float] | None]
    source: str

    def as_card(self) -> dict[str, Any]:
        """Plain values for `Card.validation`; `stored` reads them."""
        return {
            "calibration": {name: asdict(one) for name, one in self.calibrations.items()},
            "thresholds": self.thresholds,
        }


def fit_on(validation: Scores, source: str) -> FromValidation:
    """Calibrate and choose thresholds on validation scores."""
    calibrations = fit_calibrations(validation)
    thresholds = choose_thresholds(calibrate(validation, calibrations))
    return FromValidation(calibrations, thresholds, source)


def stored(card: Card) -> FromValidation | None:
    """What a weights file carries of its validation; None in one that carries nothing."""
    if "thresholds" not in card.validation:
        return None
    images = card.validation["figures"]["images"]
    return FromValidation(
        {name: Calibration(**one) for name, one in card.validation["calibration"].items()},
        card.validation["thresholds"],
        f"{images:,} validation images, when the weights were written",
    )
