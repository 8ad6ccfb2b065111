"""Images to learn from, made or bundled: nothing is downloaded.

A source is a plain value with a method `load`, so a task that holds one can be compared, hashed and sent
to another process. Write your own the same way: a frozen dataclass whose `load` gives images and labels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Curves", "Digits", "Rows", "draw_curves"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Digits:
    """The 1,797 handwritten digits bundled with scikit-learn, 8 x 8 pixels in [0, 1].

    Parameters
    ----------
    count : int, optional
        Take the first `count`; all by default.
    shuffled_labels : int, optional
        Seed of labels drawn at random, for a task that only memory can solve. True labels by default.

    Source: E. Alpaydin, C. Kaynak 1998, UCI repository, test part, as scikit-learn ships it.

    Examples
    --------
    >>> images, labels = Digits().load()
    >>> images.shape, labels.shape, float(images.max())
    ((1797, 64), (1797,), 1.0)
    """

    count: int | None = None
    shuffled_labels: int | None = None

    @functools.lru_cache(maxsize=8)  # noqa: B019 - a value: the cache holds a handful of data sets, not objects
    def load(self) -> tuple[Array, Array]:
        """Images (n, 64) as float32 and labels (n,) as int32."""
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        if self.count is not None and not 1 <= self.count <= len(images):
            raise ValueError(
                f"count is {self.count}; there are {len(images)} digits, give 1 to {len(images)}."
            )
        images, labels = images[: self.count], labels[: self.count]
        if self.shuffled_labels is not None:
            labels = np.random.default_rng(self.shuffled_labels).integers(0, 10, len(labels))
        return _kept((images / 16).astype(np.float32), labels.astype(np.int32))


@dataclass(frozen=True)
class Curves:
    """Images of curves through three random points: six numbers a picture, and no more.

    The set of Hinton and Salakhutdinov is not published as a recipe; theirs are 28 x 28 curves "from three
    randomly chosen points". Here the curve is the parabola through the three points, drawn with a pen of
    Gaussian profile.

    Parameters
    ----------
    count : int
        Number of images.
    side : int
        Pixels a side.
    seed : int
        Of the points.

    Source: Hinton and Salakhutdinov 2006, supporting material.

    Examples
    --------
    >>> images, points = Curves(count=3, side=14).load()
    >>> images.shape, points.shape
    ((3, 196), (3, 6))
    """

    count: int = 4000
    side: int = 14
    seed: int = 0

    @functools.lru_cache(maxsize=8)  # noqa: B019 - as above
    def load(self) -> tuple[Array, Array]:
        """Images (count, side²) as float32 in [0, 1], and the six coordinates (count, 6) behind each."""
        if self.count < 1 or self.side < 4:
            raise ValueError(f"Curves(count={self.count}, side={self.side}): give count from 1, side from 4.")
        points = np.random.default_rng(self.seed).uniform(0.1, 0.9, (self.count, 3, 2))
        return _kept(draw_curves(points, self.side), points.reshape(self.count, 6).astype(np.float32))


@dataclass(frozen=True)
class Rows:
    """Rows `start` up to `stop` of a source: some to train on, others to choose by, the rest for a test.

    Parameters
    ----------
    source : Digits, Curves or the like
    start, stop : int

    Examples
    --------
    >>> [len(Rows(Digits(), *part).load()[0]) for part in ((0, 1000), (1000, 1297), (1297, 1797))]
    [1000, 297, 500]
    """

    source: Digits | Curves
    start: int
    stop: int

    @functools.lru_cache(maxsize=8)  # noqa: B019 - as above
    def load(self) -> tuple[Array, Array]:
        """Images and labels of these rows."""
        images, labels = self.source.load()
        if not 0 <= self.start < self.stop <= len(images):
            raise ValueError(f"rows {self.start} to {self.stop} of {len(images)}; give 0 <= start < stop.")
        return images[self.start : self.stop], labels[self.start : self.stop]


def _kept(images: Array, labels: Array) -> tuple[Array, Array]:
    """Make read-only what a cache hands out again and again."""
    for array in (images, labels):
        array.setflags(write=False)
    return images, labels


def draw_curves(points: Array, side: int) -> Array:
    """Draw the parabola through three points of the unit square, for each triple.

    Parameters
    ----------
    points : (n, 3, 2) array
        In [0, 1]; the curve passes through them at times 0, 1/2 and 1.
    side : int
        Pixels a side.

    Returns
    -------
    (n, side²) float32 array
        Ink from 0 to 1, falling off with the distance to the curve as exp(-d²/(2 s²)), s of .7 pixels.
    """
    time = np.linspace(0, 1, 4 * side)[:, None]
    start, middle, end = (points[:, i, None, :] for i in range(3))
    curve = start + time * (4 * middle - 3 * start - end) + time**2 * (2 * start - 4 * middle + 2 * end)
    pixel = (np.arange(side) + 0.5) / side
    ink = np.empty((len(points), side, side), np.float32)
    for image, path in zip(ink, curve, strict=True):  # one at a time: all distances would take gigabytes
        across, down = (path[:, i, None] - pixel for i in (0, 1))
        distance2 = (across[:, None, :] ** 2 + down[:, :, None] ** 2).min(axis=0)
        image[:] = np.exp(-distance2 * side**2 / (2 * 0.7**2))
    return ink.reshape(len(points), -1)
