"""Oracles that change from step to step: noise of four kinds, and a target that moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import brief, count_of, real, reals
from momentum_lib.problems.base import Array, Gradient, Problem, like, rounding, symmetric
from momentum_lib.problems.regressions import LeastSquares, Logistic

__all__ = ["Minibatch", "Moving", "Multiplicative", "Noisy", "SampledCoordinates"]


class _Oracle(ABC):
    """A gradient that is another function at every step.

    A subclass draws what one step needs, for the leading shape of the points, and turns the draw and the
    gradient of the problem into the gradient of that step.
    """

    def __init__(self, problem: Problem | Gradient, shared: bool = False) -> None:
        if not (callable(problem) or hasattr(problem, "grad")):
            raise TypeError(
                f"{brief(problem)} is neither a problem nor a gradient function; give one of the two."
            )
        self.problem, self.shared = problem, shared

    def __call__(self, theta: Any) -> Any:
        """Return the full gradient."""
        return _full(self.problem)(theta)

    def at_step(self, t: int, rng: np.random.Generator | None) -> Gradient:
        """Return the gradient function of step t; its draw is taken at the first call and kept."""
        if rng is None:
            raise ValueError(f"{type(self).__name__} draws at random; pass rng=np.random.default_rng(seed).")
        grad = _of_step(self.problem, t, rng)
        drawn: list[Any] = []

        def of_this_step(theta: Any) -> Any:
            theta = np.asarray(theta)
            if not drawn:
                split = theta.ndim - self._coordinate_axes(theta)
                drawn.append(self._draw(rng, () if self.shared else theta.shape[:split], theta.shape[split:]))
            return self._noisy(theta, grad, drawn[0])

        return of_this_step

    def _coordinate_axes(self, theta: Array) -> int:
        inner: Any = self.problem
        while hasattr(inner, "problem"):
            inner = inner.problem
        return len(getattr(inner, "shape", (1,))) if theta.ndim else 0

    @abstractmethod
    def _draw(self, rng: np.random.Generator, lead: tuple[int, ...], point: tuple[int, ...]) -> Any: ...

    @abstractmethod
    def _noisy(self, theta: Array, grad: Gradient, drawn: Any) -> Any: ...


class Noisy(_Oracle):
    """Additive Gaussian noise on every gradient.

    Parameters
    ----------
    problem : Problem or gradient function
    sigma : float, (d,) array_like or (d, d) array_like
        Standard deviation, one a coordinate, or a covariance **matrix** (units squared).
    shared : bool
        One draw for all leading axes instead of one a point.

    Raises
    ------
    ValueError
        A negative standard deviation, a covariance that is asymmetric or has a negative eigenvalue.

    Examples
    --------
    >>> from momentum_lib import Quadratic
    >>> oracle = Noisy(Quadratic([1, 2]), sigma=0.1)
    >>> step = oracle.at_step(1, np.random.default_rng(0))
    >>> bool((step([1.0, 1.0]) == step([1.0, 1.0])).all()), oracle([1.0, 1.0])
    (True, array([1., 2.]))
    """

    def __init__(self, problem: Problem | Gradient, sigma: npt.ArrayLike, shared: bool = False) -> None:
        super().__init__(problem, shared)
        self.sigma = reals("sigma", sigma)
        if self.sigma.ndim > 2:
            raise ValueError(
                f"sigma has shape {self.sigma.shape}; give a standard deviation, one a coordinate, or "
                "a covariance matrix."
            )
        if self.sigma.ndim < 2:
            if self.sigma.min(initial=0.0) < 0:
                raise ValueError(f"sigma is {self.sigma.min():.6g}; a standard deviation is at least 0.")
            return
        lam, directions = np.linalg.eigh(symmetric(self.sigma, "noise covariance"))
        if lam.min() < -rounding(lam):
            raise ValueError(f"the noise covariance has the eigenvalue {lam.min():.6g}; none may be below 0.")
        self._root = directions * np.sqrt(np.maximum(lam, 0))

    def _draw(self, rng: np.random.Generator, lead: tuple[int, ...], point: tuple[int, ...]) -> Any:
        if self.sigma.ndim and self.sigma.shape[-1:] != point:
            raise ValueError(f"sigma has shape {self.sigma.shape} and a point {point}; they must agree.")
        white = rng.standard_normal(lead + point)
        return white @ self._root.T if self.sigma.ndim == 2 else self.sigma * white

    def _noisy(self, theta: Array, grad: Gradient, drawn: Any) -> Any:
        return grad(theta) + like(np.asarray(drawn), theta)


class Minibatch(_Oracle):
    """The gradient over `batch` rows of the data, drawn anew at every step, none twice in a step.

    Parameters
    ----------
    problem : LeastSquares or Logistic
    batch : int
        From 1 to the number of rows; all of them give the full gradient.
    shared : bool
        One batch for all leading axes instead of one a point.

    Raises
    ------
    TypeError
        A problem without data.
    ValueError
        A batch that is empty or larger than the data.

    Examples
    --------
    >>> oracle = Minibatch(LeastSquares(np.eye(3), np.ones(3)), batch=1)
    >>> oracle.at_step(1, np.random.default_rng(0))(np.zeros(3))
    array([ 0.,  0., -1.])
    """

    def __init__(self, problem: LeastSquares | Logistic, batch: int, shared: bool = False) -> None:
        if not hasattr(problem, "sample_grad"):
            raise TypeError(f"{brief(problem)} has no data to sample; give a LeastSquares or a Logistic.")
        if count_of("batch", batch, 1) > len(problem.X):
            raise ValueError(f"batch is {batch}; give 1 to {len(problem.X)} of the problem's rows.")
        super().__init__(problem, shared)
        self.data, self.batch = problem, int(batch)

    def _draw(self, rng: np.random.Generator, lead: tuple[int, ...], point: tuple[int, ...]) -> Any:
        rows = len(self.data.X)
        if not lead:
            return rng.choice(rows, self.batch, replace=False)
        if self.batch == rows:
            return np.arange(rows)
        return rng.random((*lead, rows)).argpartition(self.batch, axis=-1)[..., : self.batch]

    def _noisy(self, theta: Array, grad: Gradient, drawn: Any) -> Any:
        return self.data.sample_grad(theta, drawn)


class Multiplicative(_Oracle):
    """Curvature noise: the gradient is 1/p times itself with probability p, and 0 otherwise.

    On an eigen-direction the curvature a has mean lam and variance V = lam²(1 - p)/p: minibatches that
    mostly do not see the direction.

    Parameters
    ----------
    problem : Problem or gradient function
    p : float
        In (0, 1]; 1 is no noise.
    shared : bool
        One draw for all leading axes instead of one a point.

    Raises
    ------
    ValueError
        p outside (0, 1].

    Examples
    --------
    >>> from momentum_lib import Quadratic
    >>> oracle = Multiplicative(Quadratic([2]), p=0.25)
    >>> {float(oracle.at_step(1, np.random.default_rng(s))([1.0])[0]) for s in range(20)} == {0.0, 8.0}
    True
    """

    def __init__(self, problem: Problem | Gradient, p: float, shared: bool = False) -> None:
        super().__init__(problem, shared)
        if not 0 < real("p", p) <= 1:
            raise ValueError(f"p is {p}; a probability in (0, 1] is needed.")
        self.p = float(p)

    def _draw(self, rng: np.random.Generator, lead: tuple[int, ...], point: tuple[int, ...]) -> Any:
        return (rng.random(lead + (1,) * len(point)) < self.p) / self.p

    def _noisy(self, theta: Array, grad: Gradient, drawn: Any) -> Any:
        return grad(theta) * like(np.asarray(drawn), theta)


class SampledCoordinates(_Oracle):
    """One coordinate a step, drawn uniformly, its gradient times d z² with E z² = 1 and E z⁴ = c.

    The streaming least squares of Kidambi et al.: on each axis of a diagonal quadratic the curvature has
    mean lam and variance V = (c d - 1) lam², and there is no noise at the minimizer.

    Parameters
    ----------
    problem : Problem or gradient function
        Its axes are the sampled directions.
    c : {1, 3}
        Normalized fourth moment: 1, the discrete instance (z = ±1), or 3, the Gaussian one.
    shared : bool
        One draw for all leading axes instead of one a point.

    Raises
    ------
    ValueError
        Another c.

    Source: Kidambi et al. 2018, section 3.

    Examples
    --------
    >>> from momentum_lib import Quadratic
    >>> SampledCoordinates(Quadratic([1, 0.5])).at_step(1, np.random.default_rng(0))([1.0, 1.0])
    array([0., 1.])
    """

    def __init__(self, problem: Problem | Gradient, c: int = 1, shared: bool = False) -> None:
        super().__init__(problem, shared)
        if c not in (1, 3):
            raise ValueError(f"c is {c}; give 1 (discrete) or 3 (Gaussian).")
        self.c = c

    def _draw(self, rng: np.random.Generator, lead: tuple[int, ...], point: tuple[int, ...]) -> Any:
        d = point[0] if point else 1
        picked = rng.integers(d, size=(*lead, 1)) == np.arange(d)
        square = 1.0 if self.c == 1 else rng.standard_normal((*lead, 1)) ** 2
        return (d * square * picked).reshape(lead + point)

    def _noisy(self, theta: Array, grad: Gradient, drawn: Any) -> Any:
        return grad(theta) * like(np.asarray(drawn), theta)


class Moving:
    """A problem that moves: at step t the minimizer is displaced by ``path(t)``. Nothing is random.

    Called, it is the gradient of the problem at rest.

    Parameters
    ----------
    problem : Problem or gradient function
    path : callable
        ``path(t)`` is a displacement, a number or (d,); t is 1 on the first step.

    Raises
    ------
    TypeError
        A path that is not a function.

    Examples
    --------
    >>> from momentum_lib import Quadratic
    >>> target = Moving(Quadratic([2]), lambda t: 0.1 * t)
    >>> target.at_step(5)(np.array([1.0]))
    array([1.])
    """

    def __init__(self, problem: Problem | Gradient, path: Callable[[int], npt.ArrayLike]) -> None:
        if not callable(path):
            raise TypeError(f"path is {brief(path)}; give a function of t, such as lambda t: 0.01 * t.")
        self.problem, self.path = problem, path

    def __call__(self, theta: Any) -> Any:
        """Return the gradient at rest."""
        return _full(self.problem)(theta)

    def at_step(self, t: int, rng: np.random.Generator | None = None) -> Gradient:
        """Return the gradient function of step t; `rng` is for a stochastic `problem` only."""
        grad = _of_step(self.problem, t, rng)
        return lambda theta: grad(theta - like(np.asarray(self.path(t), float), np.asarray(theta)))


def _full(problem: Any) -> Gradient:
    grad: Gradient = problem if callable(problem) else problem.grad
    return grad


def _of_step(problem: Any, t: int, rng: np.random.Generator | None) -> Gradient:
    return problem.at_step(t, rng) if hasattr(problem, "at_step") else _full(problem)
