"""What many tests share: a small phantom data set, and a run trained on it."""

import gc
import importlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# Tests start many processes on few cores, with networks too small to share out: a thread each is
# quicker than two that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from chexnet.files import CACHE_VARIABLE

# torch and pandas within the fixtures: with workers, the process that has them needs neither.

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
NIH = SHARED / "nih"
BEST = "best_chexnet_params.pth"
"""The weights in the folder of a run."""
needs_nih = pytest.mark.skipif(
    not NIH.is_dir(), reason="the sample of NIH's radiographs is not beside the project"
)


def can_link() -> bool:
    """Whether this user may make symbolic links."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            (Path(folder) / "link").symlink_to(folder)
        except OSError:
            return False
    return True


# What Windows lacks, and macOS in part. A test asks for the capability, not for the system.
needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="signals to a process: this system has none"
)
needs_modes = pytest.mark.skipif(
    os.name != "posix", reason="permission bits, and scripts that are programs: not here"
)
needs_links = pytest.mark.skipif(not can_link(), reason="symbolic links: not allowed here")
needs_resource = pytest.mark.skipif(
    find_spec("resource") is None, reason="the module resource: not here"
)
SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def skip_unless(mark) -> None:
    """What a mark does to a test, for a fixture."""
    if mark.args[0]:
        pytest.skip(mark.kwargs["reason"])


def peak_memory() -> float:
    """MB that this process held at most so far; Linux counts kilobytes, macOS bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def answers(predictor, sources) -> list:
    """The predictions for files or bytes, computed as one batch."""
    return predictor.predict([predictor.read(source) for source in sources])


def pytest_xdist_auto_num_workers(config) -> int:
    """One worker more than cores: a test often waits for a browser or a process of its own."""
    return (os.cpu_count() or 1) + 1


UNITS = (
    # What forks processes needs one server that has imported torch,
    "scripts/test_commands training/test_state test_notebooks test_distributed test_checkpoint "
    "inference/test_job training/test_loop data/test_datasets data/test_pack dev/test_bench",
    # and what visits the demo needs one demo.
    "demo/test_choices demo/test_browser demo/test_lessons demo/test_malformed demo/test_visitors "
    "demo/test_phone demo/test_proxied demo/test_routes demo/test_uploads demo/test_server_files "
    "demo/test_answer demo/test_export demo/classroom/test_browser",
    "inference/test_ray_job",
    "demo/test_canvas",
    "demo/test_local_answer",
)
"""Files that one worker takes, the slowest first. Of the others each is a unit of its own."""
UNIT = {f"tests/{name}.py": n for n, names in enumerate(UNITS) for name in names.split()}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: UNIT.get(item.nodeid.partition("::")[0], len(UNIT)))


def pytest_xdist_make_scheduler(config, log):
    """With `--dist loadfile` a worker takes a whole unit."""
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return str(UNIT.get(file, file))

    return Units(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """What is imported by now stays: a collection of garbage need not walk it again, in 0.3 s."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Else libraries complain at the end of what was never freed."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory) -> Path:
    """A folder of this run that all workers of pytest-xdist see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def once(of_all_workers, tmp_path_factory):
    """Make a folder for all workers, the first that asks for it; each gets a copy of its own."""

    def call(name: str, make: Callable[[Path], None]) -> Path:
        made, making = of_all_workers / name, of_all_workers / f"{name}.tmp"
        with FileLock(of_all_workers / f"{name}.lock"):
            if not made.exists():
                make(making)
                making.rename(made)
        return Path(shutil.copytree(made, tmp_path_factory.mktemp("copies") / name))

    return call


@pytest.fixture(scope="session", autouse=True)
def cache_of_their_own(of_all_workers):
    """Exported networks go into a folder of the tests, also those of processes they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(of_all_workers / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_tls_context():
    """httpx reads the certificate authorities for each client, in 25 ms: here once for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl.create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def phantoms(once) -> Path:
    """24 phantom patients at 96 pixels."""
    from chexnet.phantom.dataset import draw_phantoms

    def draw(out: Path) -> None:
        draw_phantoms(out, patients=24, size=96, seed=7, workers=1)

    return once("phantoms", draw)


@pytest.fixture(scope="session")
def nih():
    """NIH's table of 112,120 rows and the sample of its radiographs, read once."""
    from chexnet.data.nih import read_folder

    skip_unless(needs_nih)
    return read_folder(NIH)


@pytest.fixture(scope="session")
def packed(phantoms, tmp_path_factory):
    """Twelve of the phantoms in a pack, at 64 pixels."""
    from chexnet.data.datasets import ChestXRayDataSet, PackedDataSet
    from chexnet.data.nih import read_folder
    from chexnet.data.pack import Pack, prepare
    from chexnet.transforms import Preprocessing

    preprocessing, folder = Preprocessing(size=64), read_folder(phantoms)
    files = ChestXRayDataSet(folder, rows=range(12), preprocessing=preprocessing)
    place = tmp_path_factory.mktemp("packed") / "p"
    prepare({name: folder.paths[name] for name in files.images}, place, preprocessing, workers=1)
    return PackedDataSet(files, Pack(place, preprocessing))


@pytest.fixture(scope="session")
def tiny_options(phantoms) -> dict:
    """A configuration that trains in seconds; a test adds its own `out`."""
    return {
        "data": phantoms,
        "init": "none",
        "size": 64,
        "batch_size": 8,
        "epochs": 2,
        "workers": 0,
        "device": "cpu",
        "packs": phantoms.parent / "packs",
    }


@pytest.fixture(scope="session")
def trained(once, tiny_options) -> Path:
    """The folder of a finished run of the tiny network on the phantoms.

    What opens its weights in this process needs `tiny_network`; its export needs nothing.
    """

    def train(out: Path) -> None:
        from chexnet.config import TrainConfig
        from chexnet.training.loop import fit
        from tests import tiny

        with tiny.used():
            fit(TrainConfig(**tiny_options, out=out))

    return once("trained", train)


@pytest.fixture(scope="session")
def real_weights(once, trained) -> Path:
    """A weights file of DenseNet-121 that nobody trained, with all that `trained`'s says.

    Its BatchNorm has random statistics: with the fresh ones every heatmap has the same shape.
    """

    def write(folder: Path) -> None:
        import torch

        from chexnet.model import DenseNet121, load_weights, save_weights
        from tests import tiny

        with tiny.used():
            _, metadata = load_weights(trained / BEST)
        torch.manual_seed(0)
        model = DenseNet121(len(metadata.classes))
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.2)
                    module.weight.uniform_(0.5, 1.5)
        folder.mkdir()
        save_weights(folder / BEST, model, metadata)

    return once("real", write) / BEST


@pytest.fixture(scope="module")
def tiny_network():
    """In this module's tests, and in processes that they start, the network is the tiny one."""
    from tests import tiny

    with tiny.used():
        yield


@pytest.fixture
def real_network(monkeypatch):
    """In this test it is DenseNet-121, wherever it stands."""
    from torchvision.models import densenet121

    monkeypatch.setattr("chexnet.model.densenet121", densenet121)


@pytest.fixture(scope="session")
def exported(trained, of_all_workers) -> Path:
    """The trained network as ONNX, as the command writes it: once for all workers."""
    from typer.testing import CliRunner

    from scripts.export import app
    from tests import tiny

    out = of_all_workers / "tiny.onnx"
    with FileLock(of_all_workers / "tiny.lock"), tiny.used():
        if not out.exists():
            done = CliRunner().invoke(app, [str(trained / BEST), str(out)])
            assert done.exit_code == 0, done.output
            assert "clinical" in done.output
    return out


@pytest.fixture
def make_folder(tmp_path):
    """Write a folder in NIH's layout from rows of (image, labels, patient)."""
    import pandas as pd

    def make(rows, *, lists=None, images=None, table="Data_Entry_2017.csv", size=64) -> Path:
        root = tmp_path / "nih"
        frame = pd.DataFrame(rows, columns=["Image Index", "Finding Labels", "Patient ID"])
        root.mkdir(exist_ok=True)
        frame.to_csv(root / table, index=False)
        for name, chosen in (lists or {}).items():
            (root / f"{name}_list.txt").write_text("\n".join(chosen))
        drawn = frame["Image Index"] if images is None else images
        for number, name in enumerate(drawn):
            folder = root / f"images_{number % 3 + 1:03d}" / "images"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (size, size), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
        return root

    return make


@pytest.fixture
def here(monkeypatch, capfd):
    """Run a command in this process, where torch is imported already; exit code and texts."""
    from scripts.cli import run as run_app

    def call(name: str, *arguments: object) -> subprocess.CompletedProcess:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        capfd.readouterr()
        try:
            module = name if name.startswith("dev.") else f"scripts.{name}"
            package = (ROOT / module.replace(".", "/")).is_dir()
            command = importlib.import_module(module + ".__main__" * package)
            with pytest.raises(SystemExit) as ended:
                run_app(command.app)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(sys.argv, ended.value.code or 0, *capfd.readouterr())

    return call


@pytest.fixture
def refused(here):
    """Run a command that must end with code 1; gives its message, which has no traceback."""

    def call(name: str, *arguments: object) -> str:
        done = here(name, *arguments)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
        return done.stderr

    return call


@pytest.fixture
def shown(here):
    """Run a command that must end well; gives what it prints."""

    def call(name: str, *arguments: object) -> str:
        done = here(name, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def rows_of(patients: int, images_each: int, labels=("Mass", "No Finding")) -> list[tuple]:
    """Rows for `make_folder`, with the labels in turn."""
    return [
        (f"{p:08d}_{i:03d}.png", labels[(p + i) % len(labels)], str(p))
        for p in range(1, patients + 1)
        for i in range(images_each)
    ]
