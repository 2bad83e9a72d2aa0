"""What a weights file says of its validation part."""

from typing import Any

from chexnet.evaluation.bootstrap import REPLICATES
from chexnet.evaluation.calibration import calibrate
from chexnet.evaluation.metrics import Scores, operating_curve
from chexnet.evaluation.summary import as_dict, summarise
from chexnet.evaluation.thresholds import fit_on


def describe_validation(scores: Scores) -> dict[str, Any]:
    """What `Metadata.validation` says of a validation part: figures, calibration and thresholds.

    Args:
        scores: the network's answers on it, before calibration.
    """
    chosen = fit_on(scores, "its validation part")
    calibrated = calibrate(scores, chosen.calibrations)
    columns = zip(scores.classes, calibrated.probabilities.T, scores.targets.T, strict=True)
    return {
        "figures": as_dict(summarise(scores, replicates=REPLICATES)),
        **chosen.as_metadata(),
        # Of calibrated probabilities, which are what a reader of the file sees.
        "operating_curve": {name: operating_curve(given, truth) for name, given, truth in columns},
    }
