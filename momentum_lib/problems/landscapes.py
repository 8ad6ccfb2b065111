"""Functions that are not convex: ravines, saddles, many wells.

Gradients are put together as rows, one a coordinate, and turned: on a grid each coordinate then lies in one
piece, and so does what a run makes of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import count_of, real
from momentum_lib.parts import namespace
from momentum_lib.problems.base import Array, Problem, by_rows, finite, like

__all__ = ["Beale", "DoubleWell", "Himmelblau", "MultiWell", "Rastrigin", "Rosenbrock", "Saddle"]


class Rosenbrock(Problem):
    """Rosenbrock's curved valley, Σ 100 (x_{i+1} - x_i²)² + (1 - x_i)², minimizer all ones.

    Raises
    ------
    ValueError
        Fewer than two coordinates.

    Examples
    --------
    >>> Rosenbrock().grad([0, 0])
    array([-2.,  0.])
    """

    def __init__(self, dim: int = 2) -> None:
        self.minimizer = np.ones(count_of("dim", dim, 2, 10**8))

    def _value(self, theta: Array) -> Any:
        before, after = theta[..., :-1], theta[..., 1:]
        return (100 * (after - before**2) ** 2 + (1 - before) ** 2).sum(axis=-1)

    def _grad(self, theta: Array) -> Any:
        x = theta.T[:-1]
        rise = theta.T[1:] - x**2
        steep, turn = -400 * x * rise, 2 * (1 - x)
        return by_rows(
            theta,
            ("subtract", steep[:1], turn[:1]),
            ("add", steep[1:] - turn[1:], 200 * rise[:-1]),
            ("multiply", rise[-1:], 200),
        )


class Beale(Problem):
    """Beale's function: flat plateaus, sharp walls, one minimizer at (3, ½) with value 0.

    Examples
    --------
    >>> float(Beale().value([3, 0.5]))
    0.0
    """

    def __init__(self) -> None:
        self.minimizer = np.array([3.0, 0.5])

    def _residuals(self, x: Array, y: Array) -> tuple[Any, Any, Any, Any]:
        """y² and, for each of the powers 1, 2, 3 of y, the residual a + x (y^p - 1) and its slope in x."""
        square = y * y
        a, b, c = y - 1, square - 1, square * y - 1
        return square, (1.5 + x * a, a), (2.25 + x * b, b), (2.625 + x * c, c)

    def _value(self, theta: Array) -> Any:
        _, *residuals = self._residuals(theta[..., 0], theta[..., 1])
        return sum(r**2 for r, _ in residuals)

    def _grad(self, theta: Array) -> Any:
        x, y = theta.T[:1], theta.T[1:]
        square, (r, a), (s, b), (t, c) = self._residuals(x, y)
        return by_rows(
            theta,
            ("multiply", r * a + s * b + t * c, 2),
            ("multiply", 2 * x, r + 2 * y * s + 3 * square * t),
        )


class Himmelblau(Problem):
    """Himmelblau's (x² + y - 11)² + (x + y² - 7)²: four minimizers, all of value 0.

    Attributes
    ----------
    minimizers : (4, 2) array
        The first is (3, 2), which is `minimizer`.

    Examples
    --------
    >>> Himmelblau().minimizers.round(4)[:2]
    array([[ 3.    ,  2.    ],
           [ 3.5844, -1.8481]])
    """

    def __init__(self) -> None:
        # Both squares vanish: y = 11 - x² in the second leaves a quartic with four real roots.
        x = np.sort(np.roots([1, 0, -22, 1, 114]).real)[[2, 3, 1, 0]]
        x[0] = 3
        self.minimizers = np.stack([x, 11 - x**2], axis=-1)
        self.minimizer = self.minimizers[0]

    def _value(self, theta: Array) -> Any:
        x, y = theta[..., 0], theta[..., 1]
        return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2

    def _grad(self, theta: Array) -> Any:
        x, y = theta.T[:1], theta.T[1:]
        first, second = 2 * (x**2 + y - 11), 2 * (x + y**2 - 7)
        return by_rows(theta, ("add", 2 * x * first, second), ("add", first, 2 * y * second))


class Rastrigin(Problem):
    """Rastrigin's bowl of many wells, Σ x_i² + 10 (1 - cos 2πx_i), minimizer 0.

    Raises
    ------
    ValueError
        Fewer than one coordinate.

    Examples
    --------
    >>> float(Rastrigin(2).value([1, 0]))
    1.0
    """

    def __init__(self, dim: int = 2) -> None:
        self.minimizer = np.zeros(count_of("dim", dim, 1, 10**8))
        self.mu, self.L = 2 - 40 * np.pi**2, 2 + 40 * np.pi**2

    def _value(self, theta: Array) -> Any:
        return (theta**2 + 10 * (1 - namespace(theta).cos(2 * np.pi * theta))).sum(axis=-1)

    def _grad(self, theta: Array) -> Any:
        return 2 * theta + 20 * np.pi * namespace(theta).sin(2 * np.pi * theta)


class Saddle(Problem):
    """A strict saddle at 0 between two minimizers: ½ up x² + down (¼ y⁴ - ½ y²).

    Near 0 this is ½(up x² - down y²), so the linear theory of leaving a saddle applies there, with the
    curvature -down; the minimizers are (0, ±1), so every run that leaves arrives.

    Parameters
    ----------
    up, down : float
        Curvatures of the saddle, both positive.

    Raises
    ------
    ValueError
        A curvature that is not positive.

    Examples
    --------
    >>> Saddle().grad([[0.0, 0.0], [1.0, 2.0]])
    array([[0., 0.],
           [1., 6.]])
    """

    def __init__(self, up: float = 1.0, down: float = 1.0) -> None:
        self.up, self.down = real("up", up, above=0), real("down", down, above=0)
        self.saddle = np.zeros(2)
        self.minimizers = np.array([[0.0, 1.0], [0.0, -1.0]])
        self.minimizer = self.minimizers[0]
        self.mu = -float(down)

    def _value(self, theta: Array) -> Any:
        x, y = theta[..., 0], theta[..., 1]
        return self.up * x**2 / 2 + self.down * (y**4 / 4 - y**2 / 2)

    def _grad(self, theta: Array) -> Any:
        x, y = theta.T
        return namespace(theta).stack([self.up * x, self.down * (y**3 - y)]).T


class DoubleWell(Problem):
    """Two wells of unequal depth in one dimension: (x² - 1)² + tilt x.

    Parameters
    ----------
    tilt : float
        Less than 8/√27 = 1.54 in size, so that there are two wells.

    Attributes
    ----------
    minimizers : (2,) array
        The deeper well first.
    barrier : float
        The maximizer between them.

    Raises
    ------
    ValueError
        A tilt that leaves one well.

    Examples
    --------
    >>> well = DoubleWell(0.3)
    >>> well.minimizers.round(4), well.value(well.minimizers).round(4)
    (array([-1.0356,  0.9601]), array([-0.3054,  0.2941]))
    """

    def __init__(self, tilt: float = 0.3) -> None:
        if not abs(real("tilt", tilt)) < 8 / np.sqrt(27):
            raise ValueError(f"tilt={tilt} leaves one well; give a tilt below 1.54 in size.")
        self.tilt = tilt
        left, self.barrier, right = (float(x) for x in np.sort(np.roots([4, 0, -4, tilt]).real))
        self.minimizers = np.array([left, right] if tilt >= 0 else [right, left])
        self.minimizer = np.asarray(self.minimizers[0])
        self.mu = -4.0

    def _value(self, theta: Array) -> Any:
        return (theta**2 - 1) ** 2 + self.tilt * theta

    def _grad(self, theta: Array) -> Any:
        return 4 * theta * (theta**2 - 1) + self.tilt


class MultiWell(Problem):
    """Wells of chosen places, depths and widths in a wide bowl, in one dimension.

    f = ½ bowl x² - Σ depth_i exp(-(x - center_i)²/(2 width_i²)): sharp and wide minimizers side by side.

    Parameters
    ----------
    centers, depths, widths : (k,) array_like
        Depths and widths positive; one number stands for all wells.
    bowl : float
        Curvature of the bowl, positive.

    Attributes
    ----------
    minimizers : (m,) array
        Every local minimizer, ascending.
    minimizer : () array
        The lowest of them.
    mu, L : float
        Bounds (**lower**, **upper**) from the curvature of a single well.

    Raises
    ------
    ValueError
        Parameters of different lengths, or not positive.

    Examples
    --------
    >>> MultiWell([-2, 2], depths=[1, 2], widths=0.5).minimizers.round(3)
    array([-1.951,  0.091,  1.975])
    """

    def __init__(
        self,
        centers: npt.ArrayLike,
        depths: npt.ArrayLike = 1.0,
        widths: npt.ArrayLike = 0.3,
        bowl: float = 0.1,
    ) -> None:
        real("bowl", bowl, above=0)
        self.centers = finite("centers", centers, 1)
        try:
            self.depths, self.widths = (
                np.broadcast_to(np.asarray(a, float), self.centers.shape) for a in (depths, widths)
            )
        except ValueError:
            raise ValueError(
                f"depths {np.shape(depths)} and widths {np.shape(widths)} do not match the "
                f"{self.centers.size} centers; give one number or one a center."
            ) from None
        real("the least depth", float(self.depths.min()), above=0)
        real("the least width", float(self.widths.min()), above=0)
        self.bowl = bowl
        self.minimizer = np.asarray(0.0)
        self.minimizers = self._find_minimizers()
        self.minimizer = np.asarray(self.minimizers[np.argmin(self.value(self.minimizers))])
        sharpness = float((self.depths / self.widths**2).sum())
        self.mu, self.L = bowl - 2 * np.exp(-1.5) * sharpness, bowl + sharpness

    def _find_minimizers(self) -> Array:
        """Where the slope turns from negative to positive, on a net finer than any well."""
        from scipy.optimize import brentq

        # Every stationary point lies between 0 and the outermost center.
        low, high = min(0.0, self.centers.min()) - 0.1, max(0.0, self.centers.max()) + 0.1
        count = 50 * (high - low) / min(self.widths.min(), 1.0)
        if count > 1e7:
            raise ValueError(f"the least width is {self.widths.min():g}; give 1e-5 of the distances or more.")
        net = np.linspace(low, high, 1 + int(count))
        slope = self.grad(net)
        turns = np.flatnonzero((slope[:-1] < 0) & (slope[1:] >= 0))
        return np.array([brentq(self.grad, net[i], net[i + 1], xtol=1e-14) for i in turns])

    def _wells(self, theta: Array) -> tuple[Array, Array]:
        away = (theta[..., None] - like(self.centers, theta)) / like(self.widths, theta)
        return away, like(self.depths, theta) * namespace(theta).exp(-(away**2) / 2)

    def _value(self, theta: Array) -> Any:
        return self.bowl / 2 * theta**2 - self._wells(theta)[1].sum(axis=-1)

    def _grad(self, theta: Array) -> Any:
        away, depth = self._wells(theta)
        return self.bowl * theta + (away * depth / like(self.widths, theta)).sum(axis=-1)
