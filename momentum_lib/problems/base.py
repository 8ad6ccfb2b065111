"""What a problem is, and the checks all of them share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import brief, reals
from momentum_lib.parts import namespace

if TYPE_CHECKING:
    from momentum_lib.problems.functions import Function

Array = npt.NDArray[Any]
Gradient = Callable[[Any], Any]


class Problem(ABC):
    """A differentiable function of the last axis, with its minimizers and its range of curvature.

    A subclass sets `minimizer`, and `mu` and `L` where they are finite, and writes ``_value`` and ``_grad``
    for an array of numbers whose last axis has been checked; with the functions of its `namespace`, it runs
    under JAX too. `from_function` makes one of a plain function.

    Attributes
    ----------
    minimizer : (dim,) array, or () for a one-dimensional function
        Where the least value is taken.
    mu, L : float
        Every eigenvalue of every Hessian lies in [mu, L].
    """

    mu: float = -math.inf
    L: float = math.inf

    @staticmethod
    def from_function(
        f: Callable[[Any], Any],
        dim: int,
        grad: Gradient | None = None,
        minimizers: npt.ArrayLike | None = None,
        mu: float | None = None,
        L: float | None = None,
        name: str | None = None,
        at: npt.ArrayLike | None = None,
    ) -> Function:
        """Make a problem of a plain function of `dim` real coordinates.

        Computed in double precision. Where no gradient is given it is JAX's if `f` traces (then once a shape:
        what `f` reads from outside is what it was then), and central differences if not, which take 2 dim
        values a gradient and are right to about 1e-10 of the value.

        Parameters
        ----------
        f : callable
            One point, (dim,), to a number. It is tried on a few points at once, (n, dim) and then (dim, n)
            as SciPy's `rosen`, and called point by point where it takes neither.
        dim : int
            Number of coordinates.
        grad : callable, optional
            One point, (dim,), to its gradient; tried as `f` is.
        minimizers : (m, dim) or (dim,) array_like, optional
            All that are known, local ones too.
        mu, L : float, optional
            The range that the eigenvalues of every Hessian keep; -inf and inf unless given.
        name : str, optional
            How the problem prints; the name of `f` unless given.
        at : (dim,) array_like, optional
            A point of the domain, where `f` is tried: the first minimizer, or one in the unit cube, unless
            given.

        Returns
        -------
        Problem
            ``.gradient_by`` says where its gradient comes from: ``"hand"``, ``"JAX"`` or ``"differences"``.
            Where no minimizer is known, `minimizer`, `minimum` and `gap` are refused and all else works.

        Raises
        ------
        ValueError
            `f` or `grad` is no function, fails or is not finite at the first point, or returns a value with
            its gradient or another shape; minimizers of another shape; mu above L.

        Examples
        --------
        >>> bowl = Problem.from_function(lambda x: x @ x / 2, 2, minimizers=[0, 0], name="bowl")
        >>> bowl, bowl.grad([[1.0, 2.0], [3.0, 4.0]])
        (bowl(dim=2, gradient by JAX), array([[1., 2.],
               [3., 4.]]))
        """
        from momentum_lib.problems.functions import Function

        return Function(f, dim, grad, minimizers, mu, L, name, at)

    @abstractmethod
    def _value(self, theta: Array) -> Any: ...

    @abstractmethod
    def _grad(self, theta: Array) -> Any: ...

    def _gap(self, theta: Array) -> Any:
        return self._value(theta) - self.minimum

    def value(self, theta: npt.ArrayLike) -> Any:
        """Return f, shape ``theta.shape[:-1]`` (``theta.shape`` in one dimension)."""
        return self._at(self._value, theta)

    def grad(self, theta: npt.ArrayLike) -> Any:
        """Return the gradient, shape and dtype of `theta`."""
        return self._at(self._grad, theta)

    def gap(self, theta: npt.ArrayLike) -> Any:
        """Return f - min f, shape as `value`."""
        return self._at(self._gap, theta)

    @cached_property
    def minimizer(self) -> Array:
        """Where the least value is taken; refused where it is not known."""
        raise ValueError(f"no minimizer of {self!r} is known; name it in from_function(..., minimizers=...).")

    @cached_property
    def minimum(self) -> float:
        """The least value."""
        return float(self.value(self.minimizer))

    @cached_property
    def minimizers(self) -> Array:
        """Every minimizer that is known, local ones too, one a row."""
        return self.minimizer[None]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one point: (dim,), or () for a one-dimensional function."""
        return self.minimizer.shape

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return math.prod(self.shape)

    @property
    def kappa(self) -> float:
        """Condition number L/mu; inf if mu is 0, nan if the function is not convex."""
        if self.mu < 0:
            return float("nan")
        return self.L / self.mu if self.mu > 0 else float("inf")

    def _at(self, function: Callable[[Array], Any], theta: npt.ArrayLike) -> Any:
        try:
            points: Any = theta if type(theta) is np.ndarray or on_jax(theta) else np.asarray(theta)
        except ValueError:  # rows of several lengths
            points = np.asarray("")
        if points.dtype.kind not in "fcVO":
            if points.dtype.kind not in "iub":
                raise ValueError(f"theta is {brief(theta)}; give numbers.")
            points = points.astype(float)
        if self.shape and points.shape[-1:] != self.shape:
            raise ValueError(
                f"theta has shape {points.shape}; the last axis of a point of this "
                f"{type(self).__name__} has length {self.dim}."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is a result
            return function(points)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim}, mu={self.mu:.6g}, L={self.L:.6g})"


def on_jax(array: Any) -> bool:
    """Whether JAX computes with this array, a traced one too."""
    return hasattr(array, "shape") and getattr(namespace(array), "__name__", "") == "jax.numpy"


def by_rows(theta: Array, *parts: tuple[str, Any, Any]) -> Any:
    """A gradient out of rows, one a coordinate: each part names the last operation that makes some of them.

    NumPy writes every row in its place: to join them is two of Rosenbrock's some twenty passes over memory.
    """
    if type(theta) is not np.ndarray:
        xp = namespace(theta)
        return xp.concatenate([getattr(xp, name)(*pair) for name, *pair in parts]).T
    rows, low = np.empty(theta.T.shape, theta.dtype), 0
    for name, array, other in parts:
        getattr(np, name)(array, other, out=rows[low : (low := low + len(array))])
    return rows.T


def like(array: Array, theta: Array) -> Array:
    """Cast to the dtype of theta, so that float32 points give float32 gradients; exact points stay exact."""
    return array if theta.dtype == object else array.astype(theta.dtype, copy=False)


def finite(name: str, given: npt.ArrayLike | None, ndim: int, size: int | None = None) -> Array:
    """A float copy, refused unless it has `ndim` axes, is not empty (or has this `size`) and is finite."""
    array: Array = reals(name, given)
    if array.ndim != ndim or array.size == 0 or (size is not None and array.shape != (size,) * ndim):
        wanted = f"{ndim} axes, not empty" if size is None else str((size,) * ndim)
        raise ValueError(f"{name} has shape {array.shape}; give {wanted}.")
    return array


def symmetric(matrix: Any, name: str) -> Any:
    """The matrix, dense or sparse, without the asymmetry of rounding; any larger one is refused."""
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"the {name} has shape {matrix.shape}; give a square one.")
    off = abs(matrix - matrix.T).max()
    if off > 1e-12 * abs(matrix).max():
        raise ValueError(
            f"the {name} differs from its transpose by {off:.3g}; give a symmetric one, such as (A + A.T)/2."
        )
    return (matrix + matrix.T) / 2


def rounding(lam: Array) -> float:
    """Size below which a computed eigenvalue is zero."""
    return float(8 * lam.size * np.finfo(float).eps * np.abs(lam).max())
