"""Random numbers as a pure function of a key: nothing to save, nothing global."""

import hashlib

import numpy as np


def keyed_generator(*key: int | str) -> np.random.Generator:
    """A generator (Philox) that depends on `key` alone, for example ("order", seed, epoch)."""
    return np.random.Generator(np.random.Philox(key=np.frombuffer(_digest(key), dtype="<u8")))


def _digest(key: tuple[int | str, ...]) -> bytes:
    text = repr(key)
    if "np." in text:  # `np.int64(0)` is how numpy writes 0, whose stream this is
        text = repr(tuple(part.item() if isinstance(part, np.generic) else part for part in key))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
