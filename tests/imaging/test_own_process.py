"""A process of its own may use kornia-rs, which holds the GIL: the pixels stay the same."""

import random
import sys

import numpy as np
import pytest

from chexnet.data.pack import Pack, prepare
from chexnet.errors import ImageError
from chexnet.imaging.radiograph import read_radiograph
from chexnet.transforms import Preprocessing, item_pixels
from tests.conftest import NIH, needs_nih
from tests.malformed import chunk, damaged, encoded, interlaced, originals, png, ramp, smooth

kornia = pytest.importorskip("kornia_rs.io")


def outcome(file: bytes, own_process: bool) -> tuple | str:
    """Pixels, range and facts; or the words of the refusal."""
    try:
        read = read_radiograph(file, own_process=own_process)
    except ImageError as error:
        return str(error)
    return read.pixels.shape, read.pixels.dtype, read.pixels.tobytes(), read.low, read.facts


def awkward() -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (96, 80), dtype=np.uint8)
    filters = b"".join(bytes([y % 5]) + row.tobytes() for y, row in enumerate(noise))
    plain = b"".join(b"\0" + row.tobytes() for row in noise)
    return {
        **{name: file for name, file in originals().items() if name.startswith("PNG")},
        "every filter": png(80, 96, 8, 0, filters),
        "interlaced": interlaced(noise),
        **{f"{bits} bits": png(80 * 8 // bits, 96, bits, 0, plain) for bits in (2, 4)},
        "16 bits": encoded(ramp(4095)),
        "one transparent gray": png(80, 96, 8, 0, plain, chunk(b"tRNS", b"\0\7")),
        "gray with alpha": encoded(np.dstack([noise, noise])),
        "colour": encoded(np.dstack([noise, noise, smooth()])),
        "a palette that does not belong": png(80, 96, 8, 0, plain, chunk(b"PLTE", b"\0\1\2")),
        "a damaged profile": png(80, 96, 8, 0, plain, chunk(b"iCCP", b"x\0\0no zlib")),
        "blank": encoded(np.full((96, 80), 7, np.uint8)),
        "too small": encoded(smooth(40, 40)),
    }


@pytest.mark.parametrize("name", awkward())
def test_an_awkward_png_reads_alike_in_its_own_process_and_beside_others(name):
    file = awkward()[name]
    assert outcome(file, True) == outcome(file, False)


def test_damaged_pngs_are_read_or_refused_alike():
    rng, refused = random.Random(3), 0
    for _ in range(400):
        file = damaged(encoded(smooth()), rng)
        result = outcome(file, True)
        assert result == outcome(file, False)
        refused += isinstance(result, str)
    assert 200 < refused < 400


def test_kornia_decodes_plain_gray_in_its_own_process_alone(monkeypatch):
    asked = []

    def decode(data: bytes, shape: tuple, mode: str) -> np.ndarray:
        asked.append(shape)
        return np.full((*shape, 1), 5, np.uint8) + np.arange(shape[1], dtype=np.uint8)[:, None]

    monkeypatch.setattr(kornia, "decode_image_png_u8", decode)
    gray = encoded(smooth())
    assert read_radiograph(gray, own_process=True).pixels[0, 0] == 5
    assert asked == [(96, 80)]
    read_radiograph(gray)
    read_radiograph(encoded(ramp(4095)), own_process=True)
    assert asked == [(96, 80)]


class Panic(BaseException):
    """As pyo3 raises where Rust panics."""


@pytest.mark.parametrize("trouble", ["missing", "panic"])
def test_libpng_decides_where_kornia_is_missing_or_fails(monkeypatch, trouble):
    def panic(*_: object) -> None:
        raise Panic

    if trouble == "missing":
        monkeypatch.setitem(sys.modules, "kornia_rs.io", None)
    else:
        monkeypatch.setattr(kornia, "decode_image_png_u8", panic)
    read = read_radiograph(encoded(smooth()), own_process=True)
    assert np.array_equal(read.pixels, smooth())


def test_a_pack_holds_what_every_other_way_in_gives(tmp_path):
    paths = {}
    for number, file in enumerate(awkward().values()):
        path = tmp_path / f"{number}.png"
        path.write_bytes(file)
        paths[path.name] = path
    preprocessing = Preprocessing(size=64)
    left_out = prepare(paths, tmp_path / "p", preprocessing, workers=1, skip_unreadable=True)
    pack = Pack(tmp_path / "p", preprocessing)
    for name, path in paths.items():
        result = outcome(path.read_bytes(), False)
        assert isinstance(result, str) == (name in left_out)
        if name not in left_out:
            item = item_pixels(read_radiograph(path).as_uint8(), preprocessing)
            assert np.array_equal(pack.pixels[pack.names[name]], item)


@needs_nih
def test_nihs_files_read_alike():
    paths = sorted(NIH.glob("images_*/images/*.png"))[::40]
    assert len(paths) > 20
    for path in paths:
        file = path.read_bytes()
        assert outcome(file, True) == outcome(file, False)
