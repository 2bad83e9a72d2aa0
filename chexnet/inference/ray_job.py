"""Predictions for very many files on many machines: Ray Data spreads them, one actor a GPU or node.

Ray is optional (`pip install "ray[data]"`). Every machine needs this package, and sees the pictures
and the weights under the same absolute paths; the results come to the machine that asked.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from chexnet.errors import ConfigError
from chexnet.files import installed
from chexnet.inference.job import ERRORS, columns, row_of, write_csv
from chexnet.inference.predictor import Predictor

INSTALL = 'pip install "ray[data]"'


class Answer:
    """An actor: a predictor that answers for batches of paths."""

    def __init__(self, weights: str, device: str, engine: str) -> None:
        """See `Predictor`."""
        self._predictor = Predictor(Path(weights), device, engine)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """The rows of a batch of paths (`path`); `error` is empty where there is a prediction."""
        results = list(self._predictor.stream(map(Path, batch["path"]), len(batch["path"])))
        return {
            "path": list(batch["path"]),
            "error": [result.error for result in results],
            "row": [list(row_of(self._predictor, r)) if r.prediction else [] for r in results],
        }


def predict_on_ray(
    address: str,
    files: Sequence[str],
    weights: Path,
    out: Path,
    classes: Sequence[str],
    *,
    device: str = "auto",
    engine: str = "auto",
    batch_size: int = 16,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Predict files on a cluster, and write `predictions.csv` and `errors.csv` into `out`.

    Args:
        address: of a running cluster, or `local` to start one here for this job.
        files: names of the files, as every machine sees them.
        weights: see `Predictor`; so are device and engine.
        out: folder of the two files, on this machine; in the order of `files`.
        classes: of the network, the columns.
        device: `auto`, `cpu` or `cuda`.
        engine: `auto`, `onnx` or `torch`.
        batch_size: radiographs that the network sees at once.
        on_progress: called with files done and in all.

    Returns:
        How many files cannot be read.

    Raises:
        ConfigError: Ray is not installed, or there is no such cluster.
        ChexnetError: the files cannot be written.
    """
    if not installed("ray", "pyarrow"):
        raise ConfigError(f"--ray: Ray is not installed. Run: {INSTALL}")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no word about us to Ray's makers
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise ConfigError(
            f"--ray: found no cluster at {address!r} ({told}), expected HOST:PORT or local."
        ) from error
    try:
        rows = _answers(files, (str(weights.resolve()), device, engine), batch_size)
        errors: deque[tuple[str, str]] = deque()

        def readable() -> Iterator[list[str]]:
            for done, row in enumerate(rows, 1):
                on_progress(done, len(files))
                if row["error"]:
                    errors.append((row["path"], row["error"]))
                else:
                    yield row["row"]

        write_csv(out / "predictions.csv", columns(classes), readable())
        write_csv(out / "errors.csv", ERRORS, errors)
        return len(errors)
    finally:
        ray.shutdown()


def _answers(
    files: Sequence[str], arguments: tuple[str, ...], batch_size: int
) -> Iterator[dict[str, Any]]:
    """A row a file, in order."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = False
    context.execution_options.preserve_order = True
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes)) if arguments[1] != "cpu" else 0
    # An actor takes a GPU, else all cores of a node: its readers and ONNX Runtime use them.
    actors = gpus or len(nodes)
    cores = min(int(node.get("CPU", 1)) for node in nodes)
    paths = [{"path": os.path.abspath(name)} for name in files]
    blocks = min(len(paths), max(actors, -(-len(paths) // batch_size)))
    data = ray.data.from_items(paths, override_num_blocks=blocks)
    answers = data.map_batches(
        Answer,
        fn_constructor_args=arguments,
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_gpus=1 if gpus else None,
        num_cpus=None if gpus else max(1, cores),
    )
    return iter(answers.iter_rows())
