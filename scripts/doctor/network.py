"""The way from a picture to probabilities, stage by stage, against what is known to be right.

Each stage is given an input of its own that is right, so that a fault is named where it is. The
expected values lie beside the phantom that they are of; `python -m scripts.doctor --record` makes
them anew for new starter weights.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chexnet.files import WHOLE_LIST, installed
from scripts.doctor.finding import Finding, State, note, wrong

if TYPE_CHECKING:
    from chexnet.inference.engine import TorchEngine
    from chexnet.inference.onnx_runtime import OnnxEngine
    from chexnet.transforms import Preprocessing

PICTURE = Path(__file__).parents[2] / "demo" / "examples" / "cardiomegaly.png"
EXPECTED = Path(__file__).with_name("cardiomegaly.json")  # a folder of pictures holds pictures
SAMPLED = 97
"""Every so many pixels of the network's input are compared: prime, so that no column repeats."""
LEVELS = 1
"""Gray levels of 255 by which a resize may differ on another machine."""
CLOSE = 1e-3
"""Greatest difference of a logit and of a probability; another CPU rounds by about 1e-5."""


def expected_values(weights: Path) -> dict[str, Any]:
    """What each stage gives for the phantom, computed here and now with PyTorch on the CPU."""
    from chexnet.inference.engine import TorchEngine
    from chexnet.inference.predictor import Predictor
    from chexnet.model import parameters_sha256

    predictor, engine = Predictor(weights, "cpu", "torch"), TorchEngine(weights, "cpu")
    read = predictor.read(PICTURE)
    logits = _logits(engine, _pattern(engine.metadata.preprocessing.size))
    [prediction] = predictor.predict([read])
    return {
        "picture": PICTURE.name,
        "weights": weights.name,
        "parameters_sha256": parameters_sha256(engine.model),
        "read_sha256": _digest(read.radiograph.as_uint8().tobytes()),
        "input_every_97th_pixel": read.pixels.ravel()[::SAMPLED].tobytes().hex(),
        "logits_of_a_pattern": _named(predictor.classes, logits),
        "probabilities": {k: round(v, 6) for k, v in prediction.probabilities.items()},
    }


def starter(expected: Path = EXPECTED) -> Iterator[Finding]:
    """The starter weights, stage by stage."""
    from chexnet.imaging.radiograph import read_radiograph
    from chexnet.inference.onnx_runtime import OnnxEngine
    from chexnet.inference.predictor import STARTER, Predictor, starter_export
    from chexnet.transforms import item_pixels

    known = json.loads(expected.read_text(encoding="utf-8"))
    shipped, torch = starter_export(), installed("torch")
    files = [path for path in (STARTER if torch else None, shipped) if path]
    if not STARTER.is_file() or not files:
        yield wrong("Starter weights", f"there is no {STARTER}", "Fetch the project again.")
        return
    for path in files:
        found, seen = _parameters(path)  # refuses damaged ones
        if found != known["parameters_sha256"]:
            yield wrong(
                "Starter weights",
                f"{path.name} is another network than {expected.name} is of",
                "Fetch the project again. After scripts.starter: python -m scripts.doctor --record",
            )
            return
    yield Finding("Starter weights", f"{', '.join(path.name for path in files)}, whole")
    again = "Fetch the project again and install the pinned packages: " + WHOLE_LIST
    picture = read_radiograph(PICTURE).as_uint8()
    if _digest(picture.tobytes()) == known["read_sha256"]:
        yield Finding("Reading", f"{PICTURE.name}, every pixel")
        item = item_pixels(picture, seen)
        yield _resized(item, bytes.fromhex(known["input_every_97th_pixel"]), again)
    else:
        yield wrong("Reading", f"{PICTURE.name} gives other pixels", again)
    plain, right = _pattern(seen.size), known["logits_of_a_pattern"]
    if torch:
        from chexnet.inference.engine import TorchEngine

        engine = TorchEngine(STARTER, "cpu")
        yield _normalised(engine, again)
        answers = _named(list(engine.metadata.classes), _logits(engine, plain))
        yield _compared("PyTorch", "logits", answers, right, again)
    if shipped:
        answers = _answers(OnnxEngine(shipped), plain)
        yield _compared("ONNX Runtime", "logits", answers, right, again)
    else:
        yield from onnx("ONNX Runtime", STARTER, plain, right)
    predictor = Predictor(STARTER, "cpu", "torch" if torch else "onnx")
    [prediction] = predictor.predict([predictor.read(PICTURE)])
    yield _compared(
        "Answer",
        "probabilities",
        prediction.probabilities,
        known["probabilities"],
        "See the stage above that is wrong; if none is: the calibration. " + again,
    )


def given(weights: Path) -> Iterator[Finding]:
    """Another weights file: what it says of itself, and whether both engines agree."""
    from chexnet.inference.engine import TorchEngine
    from chexnet.inference.predictor import Predictor

    predictor = Predictor(weights, "cpu", "auto" if weights.suffix == ".onnx" else "torch")
    about = predictor.metadata
    seen = (about.seen or {}).get("title")
    text = f"{weights}: {len(predictor.classes)} classes, {about.preprocessing.size} pixels"
    yield Finding(
        "Weights", f"{text}, {predictor.engine}" + (f"; has seen: {seen}" if seen else "")
    )
    if not predictor.calibrations:
        yield note("Weights", "not calibrated: scores, no probabilities")
    [prediction] = predictor.predict([predictor.read(PICTURE)])
    if not np.isfinite(list(prediction.logits.values())).all():
        yield wrong("Weights", "answers are no numbers", "Train or fetch them again.")
    if weights.suffix != ".onnx":
        pattern = _pattern(about.preprocessing.size)
        logits = _named(predictor.classes, _logits(TorchEngine(weights, "cpu"), pattern))
        yield from onnx("Weights, ONNX Runtime", weights, pattern, logits)


def onnx(
    name: str, weights: Path, item: np.ndarray, expected: dict[str, float]
) -> Iterator[Finding]:
    """The export in the cache answers as PyTorch does; if it does not, is it the file?"""
    from chexnet.errors import ChexnetError
    from chexnet.inference.engine import cached, export_place, file_digest
    from chexnet.inference.onnx_export import export
    from chexnet.inference.onnx_runtime import OnnxEngine

    if not installed("onnxruntime", "onnx", "onnxscript"):
        yield note(name, "not installed; PyTorch answers, in twice the time", WHOLE_LIST)
        return

    other = "Pass --engine torch, and install the pinned packages: " + WHOLE_LIST
    try:
        found = cached(weights)
    except ChexnetError as error:
        yield wrong(name, f"the export fails: {error}", other)
        return
    except OSError as error:
        text = f"the export cannot be kept: {error.strerror or error}"
        yield wrong(name, text, "Make the cache folder writable, see above; PyTorch answers now.")
        return
    finding = _compared(name, "logits", _answers(found, item), expected, other)
    if finding.state is State.fine:
        yield finding
        return
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh.onnx"
        try:
            export(weights, fresh)
            again = _compared(name, "logits", _answers(OnnxEngine(fresh), item), expected, other)
            works = again.state is State.fine
        except ChexnetError:
            works = False
    if works:
        yield wrong(
            name,
            f"the export in the cache is damaged ({finding.text}); a fresh one is right",
            f"Remove {export_place(file_digest(weights))}; it is made anew.",
        )
    else:
        yield wrong(name, f"the export is broken: {finding.text}", other)


def _pattern(size: int) -> np.ndarray:
    """An input that no reading and no resize has touched, uint8 (size, size): rings."""
    y, x = np.ogrid[:size, :size]
    rings: np.ndarray = ((x * x + 3 * y * y) // size % 256).astype(np.uint8)
    return rings


def _by_hand(item: np.ndarray, preprocessing: "Preprocessing") -> np.ndarray:
    """Normalised as the formula says, float32 (1, 3, H, W); shares no code with the package."""
    mean, std = (
        np.array(values, np.float64)[:, None, None]
        for values in (preprocessing.mean, preprocessing.std)
    )
    return ((item[None].astype(np.float64) / 255 - mean) / std)[None].astype(np.float32)


def _logits(engine: "TorchEngine", item: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        inputs = torch.from_numpy(_by_hand(item, engine.metadata.preprocessing))
        found: np.ndarray = engine.model(inputs)[0].numpy()
    return found


def _normalised(engine: "TorchEngine", advice: str) -> Finding:
    size = engine.metadata.preprocessing.size
    ramp = np.tile(np.linspace(0, 255, size).astype(np.uint8), (size, 1))
    found = engine.inputs(ramp[None]).numpy()
    right = _by_hand(ramp, engine.metadata.preprocessing)
    if found.shape != right.shape:
        return wrong("Normalisation", f"gives the shape {found.shape}", advice)
    most = float(np.abs(found - right).max())
    if not most <= 1e-4:
        return wrong("Normalisation", f"differs by {most:.2g} from (x / 255 - mean) / std", advice)
    return Finding("Normalisation", "(x / 255 - mean) / std of the weights file")


def _resized(item: np.ndarray, known: bytes, advice: str) -> Finding:
    found = item.ravel()[::SAMPLED].astype(int)
    if len(found) != len(known):
        return wrong("Crop and resize", f"gives {item.shape[0]} x {item.shape[1]} pixels", advice)
    most = int(np.abs(found - np.frombuffer(known, np.uint8)).max())
    if most > LEVELS:
        text = f"pixels differ by up to {most} of 255 levels"
        return wrong("Crop and resize", text, advice)
    return Finding("Crop and resize", f"{item.shape[0]} x {item.shape[1]} pixels, as expected")


def _compared(
    name: str, what: str, found: dict[str, float], known: dict[str, float], advice: str
) -> Finding:
    if list(found) != list(known):
        return wrong(name, f"other classes: {', '.join(found)}", advice)
    far = {label: abs(found[label] - known[label]) for label in known}
    worst = max(far, key=lambda label: far[label] if far[label] == far[label] else np.inf)
    if not far[worst] <= CLOSE:
        text = f"{worst}: found {found[worst]:.4f}, expected {known[worst]:.4f}"
        return wrong(name, f"{what} differ ({text})", advice)
    return Finding(name, f"all {len(known)} {what} within {CLOSE:g} (most: {far[worst]:.1g})")


def _named(classes: list[str], values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in zip(classes, values, strict=True)}


def _answers(engine: "OnnxEngine", item: np.ndarray) -> dict[str, float]:
    return _named(list(engine.metadata.classes), engine(item[None])[0][0])


def _parameters(weights: Path) -> "tuple[str | None, Preprocessing]":
    """Of the tensors alone: what is stored beside them changes with every figure."""
    if weights.suffix == ".onnx":
        from chexnet.inference.onnx_runtime import OnnxEngine

        exported = OnnxEngine(weights)
        return exported.parameters_sha256, exported.metadata.preprocessing
    from chexnet.model import load_weights, parameters_sha256

    model, about = load_weights(weights)
    return parameters_sha256(model), about.preprocessing


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
