import numpy as np
import pytest
import torch
from torch.nn import functional as F

from chexnet.rng import keyed_generator, keyed_words
from chexnet.training import augmentation
from chexnet.training.augmentation import (
    COMPARED,
    PARAMETERS,
    _noise,
    augment,
    augmentation_fault,
    draw_parameters,
)


def batch(count: int = 4, size: int = 48) -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, size, size), dtype=np.uint8)
    return torch.from_numpy(pixels)


def neutral(count: int) -> torch.Tensor:
    values = torch.zeros(count, len(PARAMETERS))
    values[:, [PARAMETERS.index("a"), PARAMETERS.index("d")]] = 1.0
    return values


def test_an_images_parameters_do_not_depend_on_its_batch():
    alone = draw_parameters(np.array([7]), seed=1, epoch=2)
    among = draw_parameters(np.array([3, 7, 9]), seed=1, epoch=2)
    assert np.array_equal(alone[0], among[1])


def drawn_one_by_one(random: np.random.Generator) -> np.ndarray:
    """An image's parameters from its own generator, as all runs before drew them."""
    limits = (augmentation.MAX_TURN, augmentation.MAX_SHEAR, augmentation.MAX_SCALE)
    turn, shear, scale = random.uniform(-1, 1, 3) * limits
    shift = random.uniform(-2 * augmentation.MAX_SHIFT, 2 * augmentation.MAX_SHIFT, 2)
    flip = -1.0 if random.random() < augmentation.FLIP_SHARE else 1.0
    cosine, sine = (1 + scale) * np.cos(turn), (1 + scale) * np.sin(turn)
    matrix = [flip * cosine, -sine + shear, shift[0], flip * sine, cosine, shift[1]]
    strengths = np.zeros(6)
    picked = random.choice(6, 2, replace=False)
    strengths[picked] = random.uniform(-1, 1, 2)
    return np.array([*matrix, *strengths, *random.uniform(-0.8, 0.8, 2)], dtype=np.float32)


def test_an_epoch_drawn_at_once_has_the_numbers_of_numpys_own_generators():
    indices = np.array([*range(500), 86_523, 2**31])
    one_by_one = [drawn_one_by_one(keyed_generator("augment", 3, 1, int(i))) for i in indices]
    assert np.array_equal(draw_parameters(indices, 3, 1), np.stack(one_by_one))


def test_the_words_of_many_keys_are_those_of_each_keys_generator():
    keys = [("a", 1, 2), ("b", 2**40), ("a", 2, 1)]
    expected = [keyed_generator(*key).bit_generator.random_raw(9) for key in keys]
    assert np.array_equal(keyed_words(keys, 9), np.stack(expected))


def test_seed_and_epoch_and_image_each_change_them():
    first = draw_parameters(np.array([7]), 1, 2)
    for other in (([7], 2, 2), ([7], 1, 3), ([8], 1, 2)):
        assert not np.array_equal(first, draw_parameters(np.array(other[0]), *other[1:]))


def test_each_image_gets_two_operations():
    values = draw_parameters(np.arange(50), 0, 0)
    strengths = values[:, 6:12]
    assert ((strengths != 0).sum(axis=1) == 2).all()
    assert (np.abs(strengths) <= 1).all()
    assert (strengths != 0).any(axis=0).all()


def test_neutral_parameters_leave_the_picture_as_it_is():
    images = batch()
    torch.testing.assert_close(
        augment(images, neutral(4)), (images / 255).clamp(1e-4, 1), rtol=0, atol=2e-3
    )


def test_a_flip_matrix_mirrors_left_and_right():
    images, values = batch(), neutral(4)
    values[:, PARAMETERS.index("a")] = -1.0
    flipped = augment(images, values)
    torch.testing.assert_close(flipped, (images / 255).flip(-1).clamp(1e-4, 1), rtol=0, atol=2e-3)


def test_results_stay_in_range_and_an_image_does_not_touch_its_neighbours():
    images = batch(6)
    values = torch.from_numpy(draw_parameters(np.arange(6), 3, 1))
    together = augment(images, values)
    assert together.min() >= 0
    assert together.max() <= 1
    for row in range(6):
        alone = augment(images[row : row + 1], values[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-5)


def test_every_operation_changes_the_picture():
    images = batch(1)
    plain = augment(images, neutral(1))
    for name in ("gamma", "contrast", "brightness", "sharpness", "noise", "erase"):
        values = neutral(1)
        values[0, PARAMETERS.index(name)] = 0.8
        assert (augment(images, values) - plain).abs().mean() > 0.003, name


def lowbias32(bits: np.ndarray) -> np.ndarray:
    """Wellons' hash in unsigned integers, as published."""
    bits = bits.astype(np.uint32)
    with np.errstate(over="ignore"):
        bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
        bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


def test_noise_is_an_integer_hash_that_any_device_computes_alike():
    strength = torch.tensor([0.3, -0.7, 1.0]).view(-1, 1, 1, 1)
    found = _noise(torch.zeros(3, 1, 40, 50), strength).numpy()
    rows, columns = np.indices((40, 50), dtype=np.uint32)
    keys = lowbias32(strength.numpy().view(np.uint32))
    whole = lowbias32(lowbias32(rows * np.uint32(65536) + columns) + keys)
    unit = (whole >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    assert np.array_equal(found, (unit - np.float32(0.5)) * np.float32(3.4641))


def test_noise_has_mean_0_deviation_1_and_no_neighbours_that_agree():
    strength = torch.linspace(-1, 1, 16).view(-1, 1, 1, 1)
    noise = _noise(torch.zeros(16, 1, 256, 256), strength)
    assert noise.mean().abs() < 0.005
    assert abs(noise.std() - 1) < 0.005
    for other in (noise.roll(1, -1), noise.roll(1, -2), noise.roll(1, 0), noise.mT):
        assert (noise * other).mean().abs() < 0.005


def test_keyed_generators_repeat_and_differ():
    same = keyed_generator("a", 1).random(4)
    assert np.array_equal(same, keyed_generator("a", 1).random(4))
    assert not np.array_equal(same, keyed_generator("a", 2).random(4))
    assert not np.array_equal(same, keyed_generator("b", 1).random(4))


@pytest.mark.parametrize("number", [0, np.int64(0), np.uint8(0)])
def test_the_stream_of_a_number_is_that_of_the_first_release_whatever_its_type(number):
    key = ("order", number, 3)
    expected = [3784671310488522397, 1056558918946532143]
    assert keyed_generator(*key).bit_generator.random_raw(2).tolist() == expected
    assert keyed_words([key], 2).tolist() == [expected]


CPU = torch.device("cpu")


def on_the_second_device(monkeypatch, name: str, wrong) -> None:
    """Have a function of torch's err, but for as often as the first device calls it."""
    right, calls = getattr(F, name), []

    def planted(x: torch.Tensor, *given: object, **named: object) -> torch.Tensor:
        calls.append(1)
        made = right(x, *given, **named)
        first = 2 if name == "grid_sample" else 1  # also for the whole augmentation
        return made if len(calls) <= first else wrong(made)

    monkeypatch.setattr(F, name, planted)


@pytest.mark.parametrize("size", [64, 256])
def test_two_devices_that_augment_alike_are_told_so(size):
    assert augmentation_fault(CPU, CPU, size) == ""
    strengths = draw_parameters(np.arange(COMPARED), 0, 0)[:, 6:12]
    assert (strengths != 0).any(axis=0).all()  # no operation is left out


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("grid_sample", lambda x: x.roll(1, -1), "grid_sample differs"),
        # One picture alone; a border alone; the layout of the published fault.
        ("grid_sample", lambda x: x.index_fill(0, torch.tensor(3), 0), "grid_sample differs"),
        ("grid_sample", lambda x: F.pad(x[..., :-1], (0, 1)), "grid_sample differs"),
        ("grid_sample", lambda x: x.mT.contiguous(), "grid_sample differs"),
        ("grid_sample", lambda x: x * float("nan"), "grid_sample differs"),
        ("avg_pool2d", lambda x: x * 0.9, "pixels differ"),
    ],
)
def test_a_device_that_augments_otherwise_is_noticed(monkeypatch, name, wrong, said):
    on_the_second_device(monkeypatch, name, wrong)
    assert said in augmentation_fault(CPU, CPU, 64)


def test_rounding_alone_is_no_fault(monkeypatch):
    on_the_second_device(monkeypatch, "grid_sample", lambda x: x + 1e-5 * torch.randn_like(x))
    assert augmentation_fault(CPU, CPU, 64) == ""
