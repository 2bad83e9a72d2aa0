"""Write a phantom data set in NIH's layout, in parallel, and go on where a killed run stopped."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from chexnet.errors import ConfigError, DataError
from chexnet.files import replacing, writing
from chexnet.labels import BOX_SPELLING, FINDINGS, NO_FINDING
from chexnet.parallel import process_map
from chexnet.phantom.draw import check_size, draw_phantom
from chexnet.phantom.marks import MARK, TEXT
from chexnet.phantom.patients import PATIENTS_PER_SEED, patient_number, person, stream, visits

TABLE, BOXES = "Data_Entry_2017.csv", "BBox_List_2017.csv"
TRAIN_VAL, TEST = "train_val_list.txt", "test_list.txt"
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
"""NIH's own first line, its empty last column included."""
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
FOLDERS = 12
VERSION = 5
"""Raised whenever the same parameters would give other pixels."""
TEST_SHARE = 0.2
ORIGINAL = (2500, 2500, 0.16, 0.16)
"""Width, height and pixel spacing (mm) of the detector that a phantom stands for: 40 cm."""
_BATCH = 8  # patients a task
_SPLIT = 4  # purpose of the stream that puts a patient on one of the two lists

BoxRow = tuple[Any, ...]
"""(finding, x, y, width, height) of one box, or the same behind its image's name."""


@dataclass(frozen=True)
class PhantomSummary:
    """What `draw_phantoms` left on the disk.

    Attributes:
        folder: the data set.
        images, patients, drawn: images in the set, patients, images drawn by this call.
        findings: label to number of images, in canonical order, `No Finding` last.
        boxes: rows of `BBox_List_2017.csv`.
    """

    folder: Path
    images: int
    patients: int
    drawn: int
    findings: dict[str, int]
    boxes: int


def draw_phantoms(
    out: Path,
    *,
    patients: int = 400,
    size: int = 512,
    seed: int = 0,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> PhantomSummary:
    """Draw a whole data set in NIH's layout.

    Images are spread over `images_001` ... `images_012` in equal blocks of patients; tables and
    lists are written last. Called again after it was killed, it draws only what is missing.

    Args:
        out: a new or empty folder, or one begun with the same parameters.
        patients: 1 to 10,000; each has 1 to 6 images, 2.5 on average.
        size: pixels a side, 64 to 2048; boxes are in the 1024 x 1024 frame at every size.
        seed: 0 to 998; no two seeds share a patient number.
        workers: processes; 0 for one a core, 1 to stay in this process.
        on_progress: called with (images done, images in all).

    Raises:
        ConfigError: a parameter is out of its range.
        ChexnetError: `out` holds something else, or cannot be written.
    """
    _check(patients, size, seed, workers)
    out = Path(out)
    with writing(out):
        _claim(out, {"patients": patients, "size": size, "seed": seed, "version": VERSION})
        for k in range(FOLDERS):
            (out / f"images_{k + 1:03d}" / "images").mkdir(parents=True, exist_ok=True)
    total = sum(person(seed, p).visits for p in range(patients))
    tasks = [
        (out, seed, size, patients, start, min(start + _BATCH, patients))
        for start in range(0, patients, _BATCH)
    ]
    done = drawn = 0
    boxes: list[BoxRow] = []
    for rows, fresh, count in process_map(_draw_patients, tasks, workers):
        boxes, done, drawn = boxes + rows, done + count, drawn + fresh
        if on_progress:
            on_progress(done, total)
    counts = _write_tables(out, patients, seed, boxes)
    labels = {name: counts[name] for name in (*FINDINGS, NO_FINDING)}
    return PhantomSummary(out, total, patients, drawn, labels, len(boxes))


def _check(patients: int, size: int, seed: int, workers: int) -> None:
    if not 1 <= patients <= PATIENTS_PER_SEED:
        raise ConfigError(
            f"Found {patients} patients, expected 1 to {PATIENTS_PER_SEED:,}: each seed has that "
            "many patient numbers. Draw further sets with other seeds."
        )
    if workers < 0:
        raise ConfigError(f"Found {workers} workers, expected 0 (one a core) or more.")
    check_size(size)
    patient_number(seed, patients - 1)


def _claim(out: Path, parameters: dict[str, int]) -> None:
    """Make sure the folder is ours: empty, or begun with the same parameters."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file, expected a folder. Pass another OUT.")
    mark = out / MARK
    if mark.is_file():
        try:
            claimed = json.loads(mark.read_text(encoding="utf-8"))
        except ValueError:
            claimed = None
        if claimed != parameters:
            raise DataError(
                f"{mark} holds {claimed}, expected {parameters}. Pass the same parameters to go "
                "on with that set, or another OUT to draw a new one."
            )
        return
    if out.exists() and any(not path.name.endswith(".tmp") for path in out.iterdir()):
        raise DataError(
            f"{out} holds other files and no {MARK}. Pass a new or empty folder as OUT."
        )
    out.mkdir(parents=True, exist_ok=True)
    _write(mark, (json.dumps(parameters, indent=1) + "\n").encode())


def image_folder(patient: int, patients: int) -> str:
    """Folder that holds a patient's images: equal blocks of patients, in order."""
    return f"images_{patient * FOLDERS // max(patients, FOLDERS) + 1:03d}"


def _draw_patients(
    task: tuple[Path, int, int, int, int, int],
) -> tuple[list[BoxRow], int, int]:
    """Draw some patients; returns rows of boxes, images drawn now, and images in all."""
    out, seed, size, patients, start, stop = task
    rows, drawn, count = [], 0, 0
    for patient in range(start, stop):
        folder = out / image_folder(patient, patients) / "images"
        for visit in visits(seed, patient):
            path = folder / visit.name
            count += 1
            if path.is_file():
                boxes = _read_boxes(path)
            else:
                phantom = draw_phantom(seed, patient, visit.follow_up, size=size)
                boxes = [(label, *box) for label, box in phantom.boxes]
                _write(path, _png(phantom.pixels, boxes))
                drawn += 1
            rows += [(visit.name, *box) for box in boxes]
    return rows, drawn, count


def _png(pixels: np.ndarray, boxes: list[BoxRow]) -> bytes:
    """A PNG that carries its boxes as text, so that a resumed run need not draw it again."""
    text, png = PngInfo(), io.BytesIO()
    text.add_text(TEXT, json.dumps(boxes))
    Image.fromarray(pixels).save(png, "PNG", compress_level=3, pnginfo=text)
    return png.getvalue()


def _read_boxes(path: Path) -> list[BoxRow]:
    try:
        with Image.open(path) as picture:
            return [tuple(box) for box in json.loads(picture.info[TEXT])]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} is not a phantom as it was drawn. Remove the file and draw again."
        ) from error


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _write_tables(out: Path, patients: int, seed: int, boxes: list[BoxRow]) -> Counter[str]:
    """Write the label table, the boxes and the lists; returns how often each label stands."""
    rows: list[list[Any]] = []
    names: dict[str, list[str]] = {TRAIN_VAL: [], TEST: []}
    counts: Counter[str] = Counter()
    for patient in range(patients):
        who = person(seed, patient)
        chosen = names[TEST if stream(seed, patient, _SPLIT).random() < TEST_SHARE else TRAIN_VAL]
        for visit in visits(seed, patient):
            labels = list(visit.findings) or [NO_FINDING]
            counts.update(labels)
            chosen.append(visit.name)
            about = (visit.follow_up, who.number, visit.age, who.sex, visit.view)
            rows.append([visit.name, "|".join(labels), *about, *ORIGINAL, ""])
    spelling = {label: spelled for spelled, label in BOX_SPELLING.items()}
    box_rows = [[name, spelling.get(label, label), *box, "", "", ""] for name, label, *box in boxes]
    for name, lines in names.items():
        _write(out / name, "\n".join(lines).encode())
    _write(out / BOXES, _csv(BOX_HEADER, box_rows))
    _write(out / TABLE, _csv(HEADER, rows))
    return counts


def _csv(header: str, rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return f"{header}\n{text.getvalue()}".encode()
