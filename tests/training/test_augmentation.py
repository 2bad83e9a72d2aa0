import numpy as np
import pytest
import torch

from chexnet.rng import keyed_generator
from chexnet.training import augmentation
from chexnet.training.augmentation import PARAMETERS, _noise, augment, draw_parameters


def batch(count: int = 4, size: int = 48) -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, size, size), dtype=np.uint8)
    return torch.from_numpy(pixels)


def neutral(count: int) -> torch.Tensor:
    values = torch.zeros(count, len(PARAMETERS))
    values[:, [PARAMETERS.index("a"), PARAMETERS.index("d")]] = 1.0
    return values


def drawn_one_by_one(unit: np.ndarray) -> list[float]:
    """An image's parameters from its twelve numbers in [0, 1), written out."""
    turn, shear, scale, x, y = (2 * unit[:5] - 1) * np.array(
        [
            augmentation.MAX_TURN,
            augmentation.MAX_SHEAR,
            augmentation.MAX_SCALE,
            2 * augmentation.MAX_SHIFT,
            2 * augmentation.MAX_SHIFT,
        ]
    )
    flip = -1.0 if unit[5] < augmentation.FLIP_SHARE else 1.0
    cosine, sine = (1 + scale) * np.cos(turn), (1 + scale) * np.sin(turn)
    left = list(range(6))
    first = left.pop(int(6 * unit[6]))
    strengths = [0.0] * 6
    strengths[first] = 2 * unit[8] - 1
    strengths[left[int(5 * unit[7])]] = 2 * unit[9] - 1
    matrix = [flip * cosine, -sine + shear, x, flip * sine, cosine, y]
    return [*matrix, *strengths, *(1.6 * unit[10:] - 0.8)]


def test_each_image_of_an_epoch_has_the_row_of_its_own_number():
    unit = keyed_generator("augment", 3, 1).random((500, 12))
    expected = np.array([drawn_one_by_one(row) for row in unit], np.float32)
    np.testing.assert_allclose(draw_parameters(500, 3, 1), expected, rtol=0, atol=1e-7)


def test_seed_and_epoch_and_image_each_change_them():
    first = draw_parameters(9, 1, 2)
    assert np.array_equal(first, draw_parameters(9, 1, 2))
    assert len(np.unique(first, axis=0)) == 9
    for other in ((9, 2, 2), (9, 1, 3)):
        assert not np.array_equal(first, draw_parameters(*other))


def test_every_pair_of_operations_is_drawn_equally_often():
    chosen = draw_parameters(30_000, 0, 0)[:, 6:12] != 0
    assert (chosen.sum(axis=1) == 2).all()
    pairs = np.array([(chosen[:, a] & chosen[:, b]).sum() for a in range(6) for b in range(a)])
    assert np.abs(pairs - 2_000).max() < 5 * 43  # five standard deviations


def test_strengths_lie_between_minus_one_and_one():
    strengths = draw_parameters(50, 0, 0)[:, 6:12]
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
    values = torch.from_numpy(draw_parameters(6, 3, 1))
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
    noise = _noise(torch.zeros(3, 1, 40, 50), strength).numpy()
    rows, columns = np.indices((40, 50), dtype=np.uint32)
    keys = lowbias32(strength.numpy().view(np.uint32))
    whole = lowbias32(lowbias32(rows * np.uint32(65536) + columns) + keys)
    unit = (whole >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    assert np.array_equal(noise, (unit - np.float32(0.5)) * np.float32(3.4641))


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
