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
    network_inputs,
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


PROPORTIONS = {"3:2": (200, 300), "2:3": (300, 200), "odd": (337, 211), "square": (260, 260)}


@pytest.mark.parametrize("shape", PROPORTIONS.values(), ids=PROPORTIONS)
@pytest.mark.parametrize(
    ("crop", "size", "resized"), [(87.5, 224, 256), (100, 224, 224), (87.5, 56, 64)]
)
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_a_square_is_torchvisions_resize_and_centre_crop_to_the_byte(
    shape, crop, size, resized, resample
):
    image = Image.fromarray(picture(*shape))
    mode = tv.InterpolationMode(resample)
    reference = tv.Compose([tv.Resize(resized, mode), tv.CenterCrop(size)])(image)
    preprocessing = Preprocessing(crop, size, resample=resample, keep_aspect=True)
    ours = item_pixels(np.asarray(image), preprocessing)
    assert np.array_equal(ours, np.asarray(reference))


@pytest.mark.parametrize("shape", PROPORTIONS.values(), ids=PROPORTIONS)
@pytest.mark.parametrize("crop", [90, 87.5, 60])
@pytest.mark.parametrize("keep_aspect", [False, True])
def test_a_spot_in_the_item_lies_where_the_frame_says_it_was_in_the_picture(
    shape, crop, keep_aspect
):
    """The frame against what is measured: a bright spot is moved through the preprocessing."""
    height, width = shape
    preprocessing = Preprocessing(crop, 128, keep_aspect=keep_aspect)
    left, top, right, bottom = preprocessing.frame(width, height)
    y, x = np.mgrid[:height, :width]
    for across, down in ((0.3, 0.4), (0.7, 0.8)):
        at = left + across * (right - left), top + down * (bottom - top)
        spot = 255 * np.exp(-((x + 0.5 - at[0]) ** 2 + (y + 0.5 - at[1]) ** 2) / 50)
        item = item_pixels(spot.astype(np.uint8), preprocessing).astype(float)
        rows, columns = np.mgrid[:128, :128] + 0.5
        center = (item * columns).sum() / item.sum() / 128, (item * rows).sum() / item.sum() / 128
        assert np.allclose(center, (across, down), atol=0.01)


def test_a_square_sees_the_middle_of_the_longer_side():
    assert Preprocessing(100, 224, keep_aspect=True).frame(300, 200) == (50, 0, 250, 200)
    assert Preprocessing(87.5, 224, keep_aspect=True).frame(1024, 1024) == (64, 64, 960, 960)
    assert Preprocessing(87.5, 224).frame(1024, 512) == (64, 32, 960, 480)


def test_what_is_not_the_default_alone_is_written_and_an_old_description_is_read():
    old = {"crop": 90, "size": 256, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
    assert Preprocessing().as_dict() == old
    assert type(Preprocessing(90.0).as_dict()["crop"]) is int  # a seal tells 90 from 90.0
    assert Preprocessing.from_dict(old) == Preprocessing()
    other = Preprocessing(87.5, 224, (0.5,) * 3, (0.25,) * 3, "bicubic", True)
    assert Preprocessing.from_dict(other.as_dict()) == other
    assert other.as_dict()["square"] is True


@pytest.mark.parametrize("wrong", [{"crop": 0}, {"crop": 101}, {"resample": "nearest"}])
def test_a_preprocessing_that_nothing_can_be_prepared_with_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Preprocessing(**wrong)


def test_what_a_network_takes_is_normalised_on_its_device_in_the_layout_of_convolutions():
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    inputs = network_inputs(images, Preprocessing(size=8), torch.device("cpu"))
    assert torch.equal(inputs, normalise(images, Preprocessing(size=8)))
    assert inputs.is_contiguous(memory_format=torch.channels_last)
