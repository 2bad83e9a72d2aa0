import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as tv

from chexnet.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PercentCenterCrop,
    Preprocessing,
    eval_transform,
    item_pixels,
    normalise,
)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width), dtype=np.uint8)


def test_ninety_percent_of_each_side_is_kept_by_default_and_centred():
    box = PercentCenterCrop().box(1000, 500)
    assert box == (50, 25, 950, 475)


@pytest.mark.parametrize(("height", "width"), [(100, 80), (101, 77), (1024, 1024), (7, 5)])
def test_images_arrays_and_tensors_are_cropped_alike(height, width):
    pixels = picture(height, width)
    crop = PercentCenterCrop(90)
    expected = crop(pixels)
    assert expected.shape == (round(height * 0.9), round(width * 0.9))
    assert np.array_equal(np.asarray(crop(Image.fromarray(pixels))), expected)
    assert np.array_equal(crop(torch.from_numpy(pixels)[None])[0].numpy(), expected)


def test_a_percentage_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="1 to 100"):
        PercentCenterCrop(0)


def test_the_default_pipeline_equals_torchvisions_own():
    image = Image.fromarray(picture(300, 260))
    left, top = (260 - 234) // 2, (300 - 270) // 2
    reference = tv.Compose(
        [
            tv.Lambda(lambda x: x.crop((left, top, left + 234, top + 270)).convert("RGB")),
            tv.Resize((256, 256)),
            tv.ToTensor(),
            tv.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    ours = eval_transform()(image)
    assert ours.shape == (3, 256, 256)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, reference(image), rtol=0, atol=1e-6)


def test_a_batch_is_normalised_like_single_images():
    items = np.stack([item_pixels(picture(90, 90 + i), Preprocessing(size=64)) for i in range(3)])
    batch = normalise(torch.from_numpy(items)[:, None], Preprocessing(size=64))
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    for item, row in zip(items, batch, strict=True):
        for channel in range(3):
            expected = (torch.from_numpy(item.copy()) / 255 - mean[channel]) / std[channel]
            torch.testing.assert_close(row[channel], expected)
