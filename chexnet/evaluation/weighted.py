"""AUROC and average precision of one class under many weightings of the same images.

Images whose target is neither 0 nor 1 count for nothing.

Shapes: N images, U units (patients, or images) that are weighted, K weightings.
"""

import numpy as np
from scipy.sparse import csr_array


class RankedAuroc:
    """One class's scores, sorted once, for the AUROC under many weightings.

    With n_j the weight of negatives below a score, ties counted half, the weighted AUROC is
    sum_i p_i n_i / (sum p * sum n): the Mann-Whitney form. Weights are counts, so that everything
    but the last division is exact. Only the scores of positives matter as borders between
    negatives; a sparse matrix adds up what lies between two of them, for many draws at once.
    """

    def __init__(
        self, scores: np.ndarray, targets: np.ndarray, unit: np.ndarray, units: int
    ) -> None:
        """Sort the scores (N,) of images with a target (N,), each of a unit (N,) below `units`."""
        positive, negative = targets == 1, targets == 0
        order = np.argsort(scores[negative], kind="stable")
        negatives = scores[negative][order]
        below = np.searchsorted(negatives, scores[positive], side="left")
        upto = np.searchsorted(negatives, scores[positive], side="right")
        borders = np.unique(np.concatenate([[0], below, upto, [len(negatives)]]))
        self._between = csr_array(
            (np.ones(len(negatives), np.int32), unit[negative][order], borders),
            shape=(len(borders) - 1, units),
        )
        self._below, self._upto = np.searchsorted(borders, below), np.searchsorted(borders, upto)
        self._positive_unit = unit[positive]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """The AUROC under each of K weightings, int32 (units, K) -> float64 (K,), NaN for none."""
        # int32 holds the sum of any data set's weights, and is twice as quick as int64.
        cumulative = np.zeros((self._between.shape[0] + 1, weights.shape[1]), np.int32)
        np.cumsum(self._between @ weights, axis=0, out=cumulative[1:])
        positive = weights[self._positive_unit]
        pairs = cumulative[-1] * positive.sum(axis=0, dtype=np.int64)
        won = cumulative[self._below]
        won += cumulative[self._upto]
        won = np.einsum("pk,pk->k", won, positive, dtype=np.int64)
        return nan_where_zero(won, 2 * pairs)


class RankedPrecision:
    """One class's scores, the greatest first, for the average precision under many weightings.

    sum over distinct scores of precision times the gain in recall (scikit-learn's definition), with
    a weight for each image. Only scores that a positive has can gain; two sparse matrices add up
    what lies between two of them, all images and positive ones, for many draws at once.
    """

    def __init__(self, scores: np.ndarray, targets: np.ndarray, unit: np.ndarray) -> None:
        """Sort the scores (N,) of images with a target (N,), each of a unit (N,)."""
        labelled = (targets == 0) | (targets == 1)
        scores, targets, unit = scores[labelled], targets[labelled], unit[labelled]
        order = np.argsort(-scores, kind="stable")
        falling, owner, positive = scores[order], unit[order], targets[order] == 1
        ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1) + 1
        upto = np.cumsum(positive)[ends - 1]  # positives with such a score or a greater one
        gaining = np.diff(upto, prepend=0) > 0
        self._units = int(unit.max()) + 1
        self._shown = self._between(owner, np.append(0, ends[gaining]))
        self._gained = self._between(owner[positive], np.append(0, upto[gaining]))

    def _between(self, owner: np.ndarray, borders: np.ndarray) -> csr_array:
        held = np.ones(borders[-1], np.int32)
        shape = (len(borders) - 1, self._units)
        return csr_array((held, owner[: borders[-1]], borders), shape=shape)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """The figure under each of K weightings of the units, int32 (units, K) -> float64 (K,)."""
        if not self._gained.shape[0]:
            return np.full(weights.shape[1], np.nan)
        own = weights[: self._units]  # units after the last have no image here
        gained = self._gained @ own
        found = np.cumsum(gained, axis=0)
        shown = np.cumsum(self._shown @ own, axis=0)
        summed = np.einsum("pk,pk->k", gained, found / np.maximum(shown, 1))
        return nan_where_zero(summed, found[-1])


def nan_where_zero(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Quotients (K,), NaN where the divisor is 0."""
    divided = np.full(len(by), np.nan)
    np.divide(values, by, out=divided, where=by > 0)
    return divided
