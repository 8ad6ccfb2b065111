"""Images to learn from, made or bundled: nothing is downloaded.

A source is a plain value with a method `load`, so a task that holds one can be compared, hashed and sent
to another process. Write your own the same way: a frozen dataclass whose `load` gives images and labels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from momentum_lib.clock import count_of, reals
from momentum_lib.definition import brief

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
        count = len(images) if self.count is None else count_of("count", self.count, 1, len(images))
        images, labels = images[:count], labels[:count]
        if self.shuffled_labels is not None:
            seed = count_of("shuffled_labels", self.shuffled_labels)
            labels = np.random.default_rng(seed).integers(0, 10, len(labels))
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
        count, side = count_of("count", self.count, 1), count_of("side", self.side, 4)
        points = np.random.default_rng(count_of("seed", self.seed)).uniform(0.1, 0.9, (count, 3, 2))
        return _kept(draw_curves(points, side), points.reshape(count, 6).astype(np.float32))


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
        images, labels = a_source(self.source).load()
        stop = count_of("stop", self.stop, 1, len(images))
        start = count_of("start", self.start, 0, stop - 1)
        return images[start:stop], labels[start:stop]


def a_source(source: Any) -> Any:
    """The source, if it is one; else a sentence.

    Raises
    ------
    ValueError
        What has no `load`, or a class in place of its value.
    """
    if isinstance(source, type) or not hasattr(source, "load"):
        raise ValueError(f"{brief(source)} is no source; give Digits(), Curves() or a value with `load`.")
    return source


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
    points, side = reals("points", points), count_of("side", side, 1)
    if points.shape[1:] != (3, 2):
        raise ValueError(f"points have shape {points.shape}; give three points of two numbers, (n, 3, 2).")
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
