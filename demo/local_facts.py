"""What a browser has to know to answer as the server does: everything but picture and network.

`page/source/` reads it as one JSON file, so that no constant and no word stands in two places.
"""

from typing import Any

from pydicom.uid import MediaStorageDirectoryStorage

from chexnet.explain import CLOSED_FORM
from chexnet.imaging import containers, dicom, frames, value_range
from chexnet.inference import gate
from chexnet.inference.predictor import Predictor
from chexnet.overlay import MAX_SIDE
from demo import security
from demo.answer import NOT_FOR_DIAGNOSIS, of_every_picture

MORE_METHODS = "need a server: make demo"


def local_facts(predictor: Predictor) -> dict[str, Any]:
    """Plain values for JSON.

    Returns:
        `answer` and `result`: the fields of `Answer` and `Result` that are the same for every
        picture; `preprocessing`; `gate`, see `gate.plain`; `reading`: how a file is read; and
        `max_side`, the greatest side of a preview in pixels.
    """
    preprocessing = predictor.metadata.preprocessing
    result = of_every_picture(predictor)
    return {
        "answer": {"notice": NOT_FOR_DIAGNOSIS, "trained_on": predictor.metadata.trained_on},
        "result": result | {"methods": [CLOSED_FORM], "more_methods": MORE_METHODS},
        "preprocessing": {
            name: getattr(preprocessing, name)
            for name in ("crop", "size", "resample", "keep_aspect")
        },
        "gate": gate.plain(),
        "reading": _reading(),
        "max_side": MAX_SIDE,
    }


def _reading() -> dict[str, Any]:
    return {
        "export": containers.EXPORT,
        "max_pixels": security.MAX_PIXELS,
        "min_side": containers.MIN_SIDE,
        "max_aspect": containers.MAX_ASPECT,
        "value_range": {
            name.lower(): getattr(value_range, name)
            for name in ("FEW", "FAR", "ALONE", "LEAST", "LOOKED_AT")
        },
        "dicom": {
            "modalities": dicom.MODALITIES,
            "radiographs": dicom.RADIOGRAPHS,
            "colours": frames.COLOURS,
            "directory": MediaStorageDirectoryStorage,
            "syntaxes": {
                syntax: {
                    "explicit": not syntax.is_implicit_VR,
                    "little": syntax.is_little_endian,
                    "deflated": syntax.is_deflated,
                    "compressed": syntax not in frames.PLAIN,
                }
                for syntax in frames.READABLE
            },
        },
    }
