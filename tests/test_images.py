from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from chexnet.errors import ImageError
from chexnet.images import read_radiograph


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(height: int = 96, width: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def test_a_gray_png_keeps_its_integers():
    gray = picture()
    found = read_radiograph(encoded(Image.fromarray(gray)))
    assert np.array_equal(found.pixels, gray)
    assert found.as_uint8() is found.pixels
    assert np.allclose(found.brightness(), gray / 255, atol=1e-7)


def test_a_blank_picture_is_refused():
    with pytest.raises(ImageError, match="blank"):
        read_radiograph(encoded(Image.new("L", (80, 80), 7)))
