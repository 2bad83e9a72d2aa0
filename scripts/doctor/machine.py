"""The machine and what is installed on it."""

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import platformdirs
from packaging.requirements import Requirement

from chexnet.files import CACHE_VARIABLE, WHOLE_LIST, installed, not_installed
from scripts.doctor.finding import Finding, note, wrong
from scripts.doctor.supported import refusal

ROOT = Path(__file__).parents[2]
SMALL_LIST = "python -m pip install -r requirements-demo.txt"
OPTIONAL = "pylibjpeg-libjpeg"
"""Under GPL-3.0, and left out by whoever does not want that."""
LISTS = ("requirements-demo", "requirements", "constraints")
TESTS = "# What the tests need"
"""The line of requirements.txt from which on packages are for the tests alone."""
PORTS = range(7860, 7960)
"""Of which the demo takes the first that is free."""
ENOUGH_MEMORY = 2 << 30
ENOUGH_DISK = 2 << 30


def python() -> Iterator[Finding]:
    """The interpreter."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    reason = refusal(sys.version_info[:3], platform.system(), platform.machine())
    if reason:
        yield wrong("Python", found, reason)
    elif sys.version_info < (3, 11, 4):  # tarfile has no filters before
        yield note("Python", found, "scripts.download needs 3.11.4: make PYTHON=python3.12 ...")
    else:
        yield Finding("Python", found)


def packages(root: Path = ROOT) -> Iterator[Finding]:
    """What is installed, against the lists and the versions in `root`."""
    text = {name: (root / f"{name}.txt").read_text("utf-8") for name in LISTS}
    small = text["requirements-demo"]
    rest, _, for_tests = text["requirements"].partition(TESTS)
    for_tests = for_tests.partition("\n")[2]  # the rest of that line
    pins = {one.name.lower(): one for one in _requirements(text["constraints"])}
    named = [one.name for one in _requirements(small + rest)]
    here = sorted(set(named) - set(not_installed(small + rest)))
    name = "Packages"
    missing = not_installed(small)
    lost = [one for one in missing if one != OPTIONAL]
    if lost:
        yield wrong(name, f"missing: {', '.join(lost)}", SMALL_LIST)
    other = [
        f"{one} {version(one)} (pinned: {_pin(pins[one])})"
        for one in here
        # A build's own mark, as in 2.15.0+cpu, is no other version.
        if not pins[one].specifier.contains(version(one), prereleases=True)
    ]
    if other:
        yield wrong(name, f"other versions: {', '.join(other)}", WHOLE_LIST)
    if not lost and not other:
        yield Finding(name, f"{len(here)} as pinned in constraints.txt")
    if OPTIONAL in missing:
        yield note(name, f"without {OPTIONAL} JPEG-LS in DICOM is refused", SMALL_LIST)
    if missing := not_installed(rest):
        yield note(name, f"the demo needs none of: {', '.join(missing)}", WHOLE_LIST)
    if missing := not_installed(for_tests):
        yield note(name, f"for the tests alone, missing: {', '.join(missing)}")


def processors() -> Iterator[Finding]:
    """Cores and GPU."""
    from chexnet.inference.onnx_runtime import cores

    yield Finding("Cores", f"{cores()} of {os.cpu_count()}")
    if not installed("torch"):
        yield note("GPU", "PyTorch is not installed: ONNX Runtime answers on the CPU", WHOLE_LIST)
        return
    import torch

    if torch.cuda.is_available():
        name, memory = (
            torch.cuda.get_device_name(),
            torch.cuda.get_device_properties(0).total_memory,
        )
        answer = (
            (torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")).sum().item()
        )
        text = f"{name}, {memory / 2**30:.0f} GiB, {torch.cuda.device_count()} in all"
        if answer == 64**3:
            yield Finding("GPU", text)
        else:
            yield wrong("GPU", f"{text}: computes wrong", "Update the driver; else --device cpu.")
    elif shutil.which("nvidia-smi"):
        yield wrong(
            "GPU",
            f"nvidia-smi is here, and torch {torch.__version__} finds no GPU",
            "Install a torch for CUDA (pytorch.org), or a newer driver.",
        )
    elif torch.backends.mps.is_available():
        yield _apple()
    else:
        yield Finding("GPU", "none; the CPU answers and trains")


def _apple() -> Finding:
    """An Apple GPU, compared with the CPU as training compares it before its first step."""
    import torch

    from chexnet.devices import network_fault
    from chexnet.inference.predictor import STARTER
    from chexnet.model import load_weights
    from chexnet.training.augmentation import augmentation_fault

    cpu, gpu, text = torch.device("cpu"), torch.device("mps"), "Apple's, with --device mps alone"
    model, about = load_weights(STARTER)
    size = about.preprocessing.size
    if fault := network_fault(model, cpu, gpu, size, gradients=True):
        return note("GPU", f"{text}: {fault}; it is refused", "Another PyTorch may be right.")
    if fault := augmentation_fault(cpu, gpu, size):
        return note("GPU", f"{text}; pictures are augmented on the CPU: {fault}")
    return note("GPU", f"{text}: computes as the CPU does. Nobody has trained on one yet")


def memory() -> Iterator[Finding]:
    """Main memory that is there at all."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        yield note("Memory", "this system does not say")
        return
    text = f"{found / 2**30:.1f} GiB"
    if found < ENOUGH_MEMORY:
        yield wrong("Memory", text, "The demo and training need 2 GiB.")
    else:
        yield Finding("Memory", text)


def disk(folders: list[Path]) -> Iterator[Finding]:
    """Room where we write."""
    for folder in dict.fromkeys(path.resolve() for path in folders):
        free = shutil.disk_usage(folder).free
        text = f"{free / 2**30:.1f} GiB free in {folder}"
        if free < ENOUGH_DISK:
            yield wrong("Disk", text, "Free some space: runs and packs need 2 GiB and more.")
        else:
            yield Finding("Disk", text)


def cache() -> Iterator[Finding]:
    """The folder of exported and of published networks."""
    folder = platformdirs.user_cache_path("chexnet")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        yield wrong(
            "Cache",
            f"{folder}: {error.strerror or error}",
            f"Make it writable, or set {CACHE_VARIABLE} to a folder that is.",
        )
        return
    exports = len(list((folder / "onnx").glob("*.onnx")))
    networks = sorted(path.parent.name for path in (folder / "networks").glob("*/fetched.json"))
    kept = f"{exports} exports, published networks: {', '.join(networks) or 'none'}"
    yield Finding("Cache", f"{folder} can be written ({kept})")


def port() -> Iterator[Finding]:
    """One that the demo can listen at."""
    for number in PORTS:
        with socket.socket() as probe:
            if os.name == "posix":  # as servers do: a port that was closed just now is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
        text = f"{number} is free" + (f" ({PORTS[0]} is taken)" if number != PORTS[0] else "")
        yield Finding("Port", text)
        return
    yield wrong(
        "Port", f"none of {PORTS[0]} to {PORTS[-1]} is free", "Pass the demo another --port."
    )


def _requirements(text: str) -> list[Requirement]:
    """Those that a list names, without its remarks and options."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def _pin(one: Requirement) -> str:
    return str(one.specifier).removeprefix("==")
