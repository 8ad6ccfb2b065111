"""Least squares and logistic regression: problems with rows of data, which a minibatch can sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import real
from momentum_lib.parts import namespace
from momentum_lib.problems.base import Array, Problem, finite, like
from momentum_lib.problems.quadratics import Quadratic

__all__ = ["LeastSquares", "Logistic"]


class LeastSquares(Quadratic):
    """Least squares with the mean taken over the rows: ½/n ‖X w - y‖² + ½ ridge ‖w‖².

    Parameters
    ----------
    X : (n, d) array_like
    y : (n,) array_like
    ridge : float
        At least 0.

    Raises
    ------
    ValueError
        Shapes that do not match, entries not finite, a negative ridge.

    Examples
    --------
    >>> LeastSquares([[1, 0], [0, 2]], [1, 2]).minimizer
    array([1., 1.])
    """

    def __init__(self, X: npt.ArrayLike, y: npt.ArrayLike, ridge: float = 0.0) -> None:
        self.X, self.y, self.ridge = _data(X, y, ridge)
        n, d = self.X.shape
        super().__init__(
            matrix=self.X.T @ self.X / n + ridge * np.eye(d),
            linear=self.X.T @ self.y / n,
            constant=float(self.y @ self.y) / (2 * n),
        )

    def sample_grad(self, theta: Array, rows: Array) -> Array:
        """Gradient over some rows only, (batch,) for all points or (..., batch) for each its own."""
        residual = _apply_rows(self.X, rows, theta) - like(self.y[rows], theta)
        return _combine_rows(self.X, rows, residual) + self.ridge * theta


class Logistic(Problem):
    """Logistic regression with the mean taken over the rows and ½ ridge ‖w‖² added.

    Parameters
    ----------
    X : (n, d) array_like
    y : (n,) array_like
        Two classes, as 0 and 1 or as -1 and 1.
    ridge : float
        At least 0; without it, separable data have no minimizer.

    Attributes
    ----------
    mu, L : float
        ridge (**lower**) and ridge + largest eigenvalue of X'X/(4n) (**upper**).

    Raises
    ------
    ValueError
        Shapes that do not match, entries not finite, labels of other kinds, a negative ridge, no minimizer.

    Examples
    --------
    >>> problem = Logistic([[1.0], [-2.0], [0.5]], [1, 0, 0], ridge=0.1)
    >>> bool(abs(problem.grad(problem.minimizer)).max() < 1e-12)
    True
    """

    def __init__(self, X: npt.ArrayLike, y: npt.ArrayLike, ridge: float) -> None:
        self.X, labels, self.ridge = _data(X, y, ridge)
        kinds = set(labels.tolist())
        if not (kinds <= {0.0, 1.0} or kinds <= {-1.0, 1.0}):
            raise ValueError(f"y has the labels {sorted(kinds)[:4]}; give 0 and 1, or -1 and 1.")
        self.y = np.where(labels > 0, 1.0, -1.0)
        n, d = self.X.shape
        self.mu = float(ridge)
        self.L = float(ridge + np.linalg.norm(self.X, 2) ** 2 / (4 * n))
        self.minimizer = np.zeros(d)  # a shape for the solver's calls
        self.minimizer = self._solve()

    def _solve(self) -> Array:
        from scipy.optimize import minimize, root

        near = minimize(self.value, self.minimizer, jac=self.grad, hess=self.hessian, method="trust-exact")
        found = root(self.grad, near.x, jac=self.hessian, tol=1e-15)
        reached = np.linalg.norm(self.grad(found.x)) <= 1e-12 * max(1.0, self.L)
        # Without ridge, separable data send the weights to infinity, where the gradient fades too.
        if not reached or (self.ridge == 0 and np.abs(self.X @ found.x).max() > 30):
            raise ValueError(
                "logistic regression on these data has no minimizer within reach, as when the classes are "
                "separable; give a larger ridge."
            )
        return np.asarray(found.x)

    def hessian(self, theta: npt.ArrayLike) -> Array:
        """The (d, d) matrix of second derivatives at one point."""
        chance = _chance(self.X @ np.asarray(theta))
        weighted = self.X.T * (chance * (1 - chance) / len(self.X))
        return np.asarray(weighted @ self.X + self.ridge * np.eye(self.X.shape[1]))

    def _value(self, theta: Array) -> Any:
        margin = (theta @ like(self.X, theta).T) * like(self.y, theta)
        return namespace(theta).logaddexp(0, -margin).mean(axis=-1) + self.ridge / 2 * (theta**2).sum(axis=-1)

    def _grad(self, theta: Array) -> Any:
        return self.sample_grad(theta, np.arange(len(self.X)))

    def sample_grad(self, theta: Array, rows: Array) -> Array:
        """Gradient over some rows only, (batch,) for all points or (..., batch) for each its own."""
        y = like(self.y[rows], theta)
        pull = -y * _chance(-y * _apply_rows(self.X, rows, theta))
        return _combine_rows(self.X, rows, pull) + self.ridge * theta


def _data(X: npt.ArrayLike, y: npt.ArrayLike, ridge: float) -> tuple[Array, Array, float]:
    rows = finite("X", X, 2)
    targets = finite("y", y, 1, len(rows))
    return rows, targets, real("ridge", ridge, least=0)


def _chance(margin: Array) -> Any:
    """The logistic function, 1 and 0 at the ends."""
    with np.errstate(over="ignore"):
        return 1 / (1 + namespace(margin).exp(-margin))


def _apply_rows(X: Array, rows: Array, theta: Array) -> Array:
    chosen = like(X[rows], theta)
    return theta @ chosen.T if rows.ndim == 1 else (chosen @ theta[..., None])[..., 0]


def _combine_rows(X: Array, rows: Array, weight: Array) -> Array:
    chosen = like(X[rows], weight)
    total = weight @ chosen if rows.ndim == 1 else (weight[..., None, :] @ chosen)[..., 0, :]
    mean: Array = total / rows.shape[-1]
    return mean
