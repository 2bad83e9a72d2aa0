"""Is everything as it should be? python -m scripts.doctor [--data DIR] [--weights W]."""

import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from chexnet.errors import ChexnetError
from chexnet.files import CACHE_VARIABLE, WHOLE_LIST, installed, not_installed
from scripts.cli import WEIGHTS_HELP, Packs, command, named_weights, new_app, run
from scripts.supported import refusal

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "demo" / "examples" / "cardiomegaly.png"
EXPECTED = Path(__file__).with_suffix(".json")
"""What the starter weights answer for `PICTURE`."""
CLOSE = 1e-3
"""Greatest difference of a probability; another CPU rounds by about 1e-5."""
ENOUGH_DISK = 2 << 30
SMALL_LIST = "python -m pip install -r requirements-demo.txt"
OPTIONAL = "pylibjpeg-libjpeg"
"""Under GPL-3.0, and left out by whoever does not want that."""
LISTS = ("requirements-demo", "requirements", "constraints")
TESTS = "# What the tests need"
"""The line of requirements.txt from which on packages are for the tests alone."""

app = new_app()


class State(StrEnum):
    """Whether something has to be done."""

    fine = "fine"
    note = "note"
    wrong = "WRONG"


@dataclass(frozen=True)
class Finding:
    """One line for the reader.

    Attributes:
        name: of what was looked at.
        text: what was found.
        advice: what to do; empty where nothing has to be done.
        state: see `State`.
    """

    name: str
    text: str
    advice: str = ""
    state: State = State.fine

    def __str__(self) -> str:
        advice = f"\n       Do: {self.advice}" if self.advice else ""
        return f"{self.state:<6} {self.name}: {self.text}{advice}"


wrong = partial(Finding, state=State.wrong)
note = partial(Finding, state=State.note)


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="Also look at this data folder.")] = None,
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS_HELP, callback=named_weights)] = None,
    packs: Packs = Path("packs"),
    record: Annotated[
        bool,
        typer.Option("--record", help="Write what new starter weights answer for the phantom."),
    ] = False,
) -> None:
    """Look at packages, GPU, folders, and what the starter weights answer; a line each.

    The answer is that for a phantom which is shipped. Exit code 1 if anything is wrong.
    """
    if record:
        from chexnet.files import write_text
        from chexnet.inference.predictor import STARTER

        content = {"picture": PICTURE.name, "probabilities": answer(STARTER, "torch")}
        write_text(EXPECTED, json.dumps(content, indent=1) + "\n")
        print(f"Written: {EXPECTED}")
        return
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "Packages": packages,
        "GPU": gpu,
        "Folders": lambda: folders([Path(), *([data] if data and data.is_dir() else [])]),
        "Starter weights": starter,
    }
    if weights is not None:
        checks["Weights"] = lambda: given(weights)
    if data is not None:
        checks["Data"] = lambda: data_folder(data, packs)
    states = []
    for name, check in checks.items():
        for finding in guarded(name, check):
            states.append(finding.state)
            print(finding, flush=True)
    ill = states.count(State.wrong)
    print(f"\n{ill} of {len(states)} are wrong." if ill else "\nNothing is wrong.")
    sys.exit(bool(ill))


def guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; one that fails is a finding as well."""
    try:
        yield from check()
    except ChexnetError as error:
        yield wrong(name, "refused", str(error))
    except Exception as error:  # a doctor that falls ill helps nobody
        text = " ".join(str(error).split())[:200]
        yield wrong(name, f"{type(error).__name__}: {text}", "Report this, with all these lines.")


def packages(root: Path = ROOT) -> Iterator[Finding]:
    """The interpreter and what is installed, against the lists and the versions in `root`."""
    from packaging.requirements import Requirement

    def requirements(text: str) -> list[Requirement]:
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        return [Requirement(line) for line in lines if line and not line.startswith("-")]

    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    reason = refusal(sys.version_info[:3], platform.system(), platform.machine())
    yield wrong("Python", python, reason) if reason else Finding("Python", python)
    small, rest, pinned = ((root / f"{name}.txt").read_text("utf-8") for name in LISTS)
    rest, _, for_tests = rest.partition(TESTS)
    for_tests = for_tests.partition("\n")[2]  # the rest of that line
    pins = {pin.name.lower(): pin for pin in requirements(pinned)}
    missing, absent = not_installed(small), not_installed(rest)
    here = {requirement.name for requirement in requirements(small + rest)} - {*missing, *absent}
    if lost := [name for name in missing if name != OPTIONAL]:
        yield wrong("Packages", f"missing: {', '.join(lost)}", SMALL_LIST)
    other = [
        f"{name} {version(name)} (pinned: {str(pins[name].specifier).removeprefix('==')})"
        for name in sorted(here)
        # A build's own mark, as in 2.15.0+cpu, is no other version.
        if not pins[name].specifier.contains(version(name), prereleases=True)
    ]
    if other:
        yield wrong("Packages", f"other versions: {', '.join(other)}", WHOLE_LIST)
    if not lost and not other:
        yield Finding("Packages", f"{len(here)} as pinned in constraints.txt")
    if OPTIONAL in missing:
        yield note("Packages", f"without {OPTIONAL} JPEG-LS in DICOM is refused", SMALL_LIST)
    if absent:
        yield note("Packages", f"the demo needs none of: {', '.join(absent)}", WHOLE_LIST)
    if untested := not_installed(for_tests):
        yield note("Packages", f"for the tests alone, missing: {', '.join(untested)}")


def gpu() -> Iterator[Finding]:
    """Whether there is one, and whether it computes as the CPU does."""
    if not installed("torch"):
        yield note("GPU", "PyTorch is not installed: ONNX Runtime answers on the CPU", WHOLE_LIST)
        return
    import torch

    from chexnet.compute import compare_devices
    from chexnet.inference.predictor import STARTER
    from chexnet.model import load_weights

    if torch.cuda.is_available():
        kind, text = "cuda", f"{torch.cuda.get_device_name()}, {torch.cuda.device_count()} in all"
        advice = "Update the driver; until then --device cpu."
    elif torch.backends.mps.is_available():
        kind, text, advice = "mps", "Apple's, with --device mps alone", "Try another PyTorch."
    elif shutil.which("nvidia-smi"):
        text = f"nvidia-smi is here, and torch {torch.__version__} finds no GPU"
        yield wrong("GPU", text, "Install a torch for CUDA (pytorch.org), or a newer driver.")
        return
    else:
        yield Finding("GPU", "none; the CPU answers and trains")
        return
    model, metadata = load_weights(STARTER)
    devices, size = (torch.device("cpu"), torch.device(kind)), metadata.preprocessing.size
    if fault := compare_devices(model, *devices, size):
        yield wrong("GPU", f"{text}: {fault}", advice)
    elif kind == "mps":
        yield note("GPU", f"{text}: answers as the CPU does. Nobody has trained on one yet")
    else:
        yield Finding("GPU", f"{text}: answers as the CPU does")


def folders(places: list[Path]) -> Iterator[Finding]:
    """Room where we write, and the folder of exported and of published networks."""
    import platformdirs

    for folder in dict.fromkeys(path.resolve() for path in places):
        free = shutil.disk_usage(folder).free
        text = f"{free / 2**30:.1f} GiB free in {folder}"
        if free < ENOUGH_DISK:
            yield wrong("Disk", text, "Free some space: runs and packs need 2 GiB and more.")
        else:
            yield Finding("Disk", text)
    cache = platformdirs.user_cache_path("chexnet")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:
            file.write(b"x")
    except OSError as error:
        advice = f"Make it writable, or set {CACHE_VARIABLE} to a folder that is."
        yield wrong("Cache", f"{cache}: {error.strerror or error}", advice)
    else:
        yield Finding("Cache", f"{cache} can be written")


def answer(weights: Path, engine: str) -> dict[str, float]:
    """The probabilities that a network gives for the phantom, on the CPU."""
    from chexnet.inference.predictor import Predictor

    predictor = Predictor(weights, "cpu", engine)
    [prediction] = predictor.predict([predictor.read(PICTURE)])
    return {name: round(value, 6) for name, value in prediction.probabilities.items()}


def starter(expected: Path = EXPECTED) -> Iterator[Finding]:
    """What the starter weights answer, through each engine that is installed."""
    from chexnet.inference.predictor import STARTER

    known = json.loads(expected.read_text(encoding="utf-8"))["probabilities"]
    again = "Fetch the project again and install the pinned packages: " + WHOLE_LIST
    for name, path, engine, module in (
        ("PyTorch", STARTER, "torch", "torch"),
        ("ONNX Runtime", STARTER.with_suffix(".onnx"), "onnx", "onnxruntime"),
    ):
        if not installed(module):
            yield note(name, "not installed", WHOLE_LIST)
            continue
        answered = answer(path, engine)
        if list(answered) != list(known):
            yield wrong(name, f"{path.name} has other classes: {', '.join(answered)}", again)
            continue
        far = {label: abs(answered[label] - known[label]) for label in known}
        worst = max(far, key=far.__getitem__)
        text = f"{worst}: found {answered[worst]:.4f}, expected {known[worst]:.4f}"
        if far[worst] <= CLOSE:
            text = f"{path.name}, all {len(known)} probabilities of {PICTURE.name} as expected"
            yield Finding(name, text)
        else:
            text = f"{path.name} answers otherwise for {PICTURE.name} ({text})"
            anew = "; after new starter weights: python -m scripts.doctor --record"
            yield wrong(name, text, again + anew)


def given(weights: Path) -> Iterator[Finding]:
    """Another weights file: it opens, and answers."""
    answered = answer(weights, "auto" if weights.suffix == ".onnx" else "torch")
    highest = max(answered, key=answered.__getitem__)
    text = f"{weights}: {len(answered)} classes; highest of {PICTURE.name}: {highest}"
    yield Finding("Weights", f"{text} {answered[highest]:.3f}")


def data_folder(root: Path, packs: Path) -> Iterator[Finding]:
    """A data folder, opened as training opens it, without decoding its images."""
    if not installed("torch"):
        yield note("Data", f"{root} was not looked at: that needs PyTorch", WHOLE_LIST)
        return
    from chexnet.data.datamodule import open_datamodule
    from chexnet.data.formats import DataRequest
    from chexnet.data.nih import read_boxes
    from chexnet.transforms import Preprocessing

    for part in sorted(root.glob(".*.part")):
        name = part.name.strip(".").removesuffix(".tar.gz.part")
        yield note("Download", f"{name} is fetched in part", command("scripts.download", root))
    opened = open_datamodule(DataRequest(root, packs=packs), Preprocessing())
    facts = opened.facts
    patients = opened.folder.table["patient"].nunique()
    kind = "" if facts.label_version == "unknown" else f" ({facts.label_version})"
    text = f"{facts.table}{kind}: {facts.images_in_table:,} images, {patients:,} patients"
    yield Finding("Table", f"{text}; {facts.images_present:,} of the images are here")
    parts = ", ".join(f"{part} {count:,}" for part, count in facts.images.items())
    yield Finding("Split", f"{facts.split}: {parts}; no patient in two of them")
    for sentence in opened.notes:
        yield note("Data", sentence)
    if opened.pack is None:
        make = command("scripts.prepare", data=root, packs=packs)
        yield note("Packs", f"no whole one in {packs}; training decodes every epoch without", make)
    else:
        yield Finding("Packs", f"{len(opened.pack.names):,} images")
    try:
        yield Finding("Boxes", f"{len(read_boxes(root)):,}")
    except ChexnetError as error:
        yield note("Boxes", f"scripts.localize cannot run: {error}")


if __name__ == "__main__":
    run(app)
