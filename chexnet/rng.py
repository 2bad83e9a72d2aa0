"""Random numbers as a pure function of a key: nothing to save, nothing global."""

import hashlib
from collections.abc import Iterable

import numpy as np

# Philox 4x64 with 10 rounds: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
_ROUNDS = 10
_MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_KEY_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


def keyed_generator(*key: int | str) -> np.random.Generator:
    """A generator (Philox) that depends on `key` alone, for example ("order", seed, epoch)."""
    return np.random.Generator(np.random.Philox(key=np.frombuffer(_digest(key), dtype="<u8")))


def keyed_words(keys: Iterable[tuple[int | str, ...]], count: int) -> np.ndarray:
    """The first random words of many keyed generators at once.

    A generator for each sample costs about 20 microseconds before it has drawn anything, which for
    an epoch of NIH is seconds. These are the same words, computed for all keys together.

    Args:
        keys: of `keyed_generator`.
        count: words of each.

    Returns:
        uint64 (keys, count): what `keyed_generator(*key).bit_generator.random_raw(count)` gives.
    """
    digests = b"".join(_digest(key) for key in keys)
    key = np.frombuffer(digests, dtype="<u8").reshape(-1, 2).astype(np.uint64)
    blocks = range(1, -(-count // 4) + 1)  # the counter is raised before the first block
    words = [word for block in blocks for word in _philox(key, block)]
    return np.stack(words[:count], axis=1)


def _digest(key: tuple[int | str, ...]) -> bytes:
    text = repr(key)
    if "np." in text:  # `np.int64(0)` is how numpy writes 0, whose stream this is
        text = repr(tuple(part.item() if isinstance(part, np.generic) else part for part in key))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _philox(key: np.ndarray, block: int) -> list[np.ndarray]:
    """The four words of one block of each key, each uint64 (keys,)."""
    zero = np.zeros(len(key), np.uint64)
    first, second = key[:, 0], key[:, 1]
    a, b, c, d = zero + np.uint64(block), zero, zero, zero
    for _ in range(_ROUNDS):
        high_a, low_a = _product(a, _MULTIPLIERS[0])
        high_c, low_c = _product(c, _MULTIPLIERS[1])
        a, b, c, d = high_c ^ b ^ first, low_c, high_a ^ d ^ second, low_a
        first, second = first + _KEY_STEPS[0], second + _KEY_STEPS[1]
    return [a, b, c, d]


def _product(values: np.ndarray, by: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower 64 bits of each product, by halves: numpy has no 128-bit integers."""
    low, high = values & _LOW, values >> _HALF
    by_low, by_high = by & _LOW, by >> _HALF
    middle = high * by_low + (low * by_low >> _HALF)
    other = low * by_high + (middle & _LOW)
    return high * by_high + (middle >> _HALF) + (other >> _HALF), values * by
