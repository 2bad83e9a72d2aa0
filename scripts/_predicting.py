"""Many files through one network: the next ones are read while it computes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chexnet.errors import ImageError
from chexnet.imaging.radiograph import read_radiograph
from chexnet.inference.gate import judge
from chexnet.inference.onnx_runtime import cores
from chexnet.inference.predictor import Prediction, Predictor


class Looked(NamedTuple):
    """What came of one file.

    Attributes:
        path: the file.
        answer: the prediction, or the reason why there is none.
        doubt: the gate's, empty where it has none.
    """

    path: Path
    answer: Prediction | str
    doubt: str


class _Read(NamedTuple):
    pixels: np.ndarray
    item: np.ndarray
    doubt: str


def looked_at(predictor: Predictor, paths: Sequence[Path], batch_size: int) -> Iterator[Looked]:
    """Yield every file's answer, in order; at most two batches are in memory."""
    batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
    with ThreadPoolExecutor(cores()) as pool:

        def reading(batch: Sequence[Path]) -> list[Future]:
            return [pool.submit(_read, predictor, path) for path in batch]

        waiting = reading(batches[0]) if batches else []
        for number, batch in enumerate(batches):
            read = [future.result() for future in waiting]
            waiting = reading(batches[number + 1]) if number + 1 < len(batches) else []
            good = [one for one in read if isinstance(one, _Read)]
            items, pictures = [one.item for one in good], [one.pixels for one in good]
            answers = iter(predictor.predict_items(items, pictures))
            for path, one in zip(batch, read, strict=True):
                if isinstance(one, _Read):
                    yield Looked(path, next(answers), one.doubt)
                else:
                    yield Looked(path, one, "")


def _read(predictor: Predictor, path: Path) -> _Read | str:
    try:
        radiograph = read_radiograph(path)
    except ImageError as error:
        return str(error)
    pixels = radiograph.as_uint8()
    return _Read(pixels, predictor.item_of(pixels), judge(radiograph).message)
