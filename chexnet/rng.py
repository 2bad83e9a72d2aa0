"""Random numbers as a pure function of a key: nothing to save, nothing global."""

import hashlib

import numpy as np


def keyed_generator(*key: int | str) -> np.random.Generator:
    """A generator (Philox) that depends on `key` alone, for example ("order", seed, epoch).

    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Making one costs
    microseconds, so that each sample of each epoch can have its own.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))
