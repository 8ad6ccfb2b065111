"""A problem made of a plain function, however it takes its points and wherever its gradient comes from."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import brief, count_of
from momentum_lib.parts import namespace
from momentum_lib.problems.base import Array, Gradient, Problem, finite, like, on_jax

__all__ = ["Function"]


class Function(Problem):
    """A plain function of `dim` real coordinates; made by `Problem.from_function`.

    Attributes
    ----------
    gradient_by : str
        Where the gradient comes from: ``"hand"``, ``"JAX"`` or ``"differences"``.
    """

    def __init__(
        self,
        f: Callable[[Any], Any],
        dim: int,
        grad: Gradient | None = None,
        minimizers: npt.ArrayLike | None = None,
        mu: float | None = None,
        L: float | None = None,
        name: str | None = None,
        at: npt.ArrayLike | None = None,
    ) -> None:
        self._made_of = (f, dim, grad, minimizers, mu, L, name, at)
        self._shape = (count_of("dim", dim, 1, 10**8),)
        self.name = name or getattr(f, "__name__", type(f).__name__)
        self.mu, self.L = -np.inf if mu is None else float(mu), np.inf if L is None else float(L)
        if not self.mu <= self.L:
            raise ValueError(f"mu={mu} and L={L}; give mu <= L.")
        self.minimizers = np.empty((0, dim))
        if minimizers is not None:
            rows = np.reshape(minimizers, (-1, 1)) if dim == 1 else np.atleast_2d(minimizers)
            self.minimizers = finite("minimizers", rows, 2)
            if self.minimizers.shape[1] != dim:
                raise ValueError(f"minimizers has shape {np.shape(minimizers)}; give (m, {dim}), one a row.")
        first = np.linspace(0.3, 0.7, dim) if at is None else finite("at", at, 1, dim)
        if at is None and len(self.minimizers):
            first = self.minimizers[0]
        # Near the point and not at it, where a minimizer may have a kink.
        near = 1e-3 * np.random.default_rng(0).uniform(size=(3, dim)) * np.maximum(1, np.abs(first))
        self._f: Callable[[Array], Array] = _lift(f, "f", (), first + near)
        self._slope: Callable[[Array], Array] = self._differences
        self.gradient_by = "differences"
        if grad is not None:
            self._slope, self.gradient_by = _lift(grad, "grad", self._shape, first + near), "hand"
        elif (traced := _trace(f, dim)) is not None:
            (self._f, self._slope), self.gradient_by = traced, "JAX"
        if len(self.minimizers):
            self.minimizer = self.minimizers[np.argmin(self.value(self.minimizers))]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one point, (dim,)."""
        return self._shape

    def _value(self, theta: Array) -> Any:
        return like(self._f(self._real(theta)), theta)[()]

    def _grad(self, theta: Array) -> Any:
        return like(self._slope(self._real(theta)), theta)

    def _real(self, theta: Array) -> Array:
        if theta.dtype.kind == "c":
            raise ValueError(f"{self.name} is a function of real coordinates, and theta is complex.")
        return theta if on_jax(theta) else theta.astype(float)

    def _differences(self, points: Array) -> Array:
        if on_jax(points):
            raise ValueError(
                f"the gradient of {self.name} is by differences, as JAX does not trace it; start from a "
                "NumPy array, or give grad=."
            )
        out, step = np.empty_like(points), np.cbrt(np.finfo(float).eps) * np.maximum(1, np.abs(points))
        for i in range(self.dim):
            ahead, behind = points.copy(), points.copy()
            ahead[..., i] += step[..., i]
            behind[..., i] -= step[..., i]
            out[..., i] = (self._f(ahead) - self._f(behind)) / (ahead[..., i] - behind[..., i])
        return out

    def __repr__(self) -> str:
        known = "".join(f", {n}={v:.6g}" for n, v in (("mu", self.mu), ("L", self.L)) if np.isfinite(v))
        return f"{self.name}(dim={self.dim}{known}, gradient by {self.gradient_by})"

    def __reduce__(self) -> Any:
        return Function, self._made_of


@dataclass(frozen=True)
class _Lifted:
    """A function of one point on an array of points: at once along `axis`, one by one where that is None."""

    f: Callable[[Any], Any]
    name: str
    shape: tuple[int, ...]
    axis: int | None = None

    def __call__(self, points: Array) -> Array:
        xp, traced, f, axis = namespace(points), on_jax(points), self.f, self.axis
        flat = xp.array(points.reshape(-1, points.shape[-1]))  # a copy: f may write into it
        if traced and axis is None:
            import jax

            f, axis = jax.vmap(f), -1
        with nullcontext() if traced else _double():
            if axis is None:
                out = np.array([self._one(x) for x in flat])
            else:
                out = xp.array(f(xp.moveaxis(flat, -1, axis)))  # a copy: f may use its own again
                out = xp.moveaxis(out, axis, -1) if self.shape else out
        return out.reshape(points.shape[:-1] + self.shape)

    def _one(self, x: Array) -> Array:
        wanted = f"the gradient alone, {self.shape[0]} numbers" if self.shape else "the value alone, a number"
        try:
            answer = self.f(x)
        except ArithmeticError:  # Python's own overflow and division by zero
            return np.full(self.shape, np.nan)
        if isinstance(answer, tuple | list) and (not self.shape or any(map(np.ndim, answer))):
            raise ValueError(
                f"{self.name} returned {len(answer)} things, a value and a gradient perhaps; return {wanted}."
            )
        out = np.asarray(answer)
        if out.dtype.kind not in "iubf" or out.size != math.prod(self.shape):
            given = f"shape {out.shape}" if out.dtype.kind in "iubf" else repr(answer)
            raise ValueError(f"{self.name} returned {given} for one point; return {wanted}.")
        return out.reshape(self.shape)


def _lift(f: Any, name: str, shape: tuple[int, ...], trial: Array) -> _Lifted:
    """Find out, on three points, how a function takes its points."""
    if not callable(f):
        raise ValueError(f"{name} is {brief(f)}; give a function of one point.")
    singly, remedy = _Lifted(f, name, shape), "or give a point of its domain with at="
    with np.errstate(all="ignore"):
        try:
            f(trial[0].copy())
        except Exception as error:
            raise ValueError(
                f"{name} fails at the point {trial[0]}: {error!r}; it takes one array of {trial.shape[1]} "
                f"numbers, {remedy}."
            ) from error
        found = singly(trial)
        if not np.isfinite(found[0]).all():
            raise ValueError(f"{name} is {found[0]} at the point {trial[0]}; make it finite, {remedy}.")
        for axis in (-1, 0):
            together = replace(singly, axis=axis)
            try:
                if np.allclose(together(trial), found, 1e-9, 1e-9 * np.abs(found[0]).max(), equal_nan=True):
                    return together
            except Exception:  # not this way
                continue
    return singly


def _trace(f: Callable[[Any], Any], dim: int) -> tuple[_Lifted, _Lifted] | None:
    """The function and its gradient, compiled by JAX, if it can trace it."""
    try:
        import jax

        def number(x: Any) -> Any:
            return jax.numpy.reshape(f(x), ())

        both = jax.jit(jax.vmap(number)), jax.jit(jax.vmap(jax.grad(number)))
        with jax.enable_x64(True):
            for function in both:
                jax.eval_shape(function, jax.ShapeDtypeStruct((2, dim), float))
    except Exception:  # no JAX, or a function that reads numbers
        return None
    return _Lifted(both[0], "f", (), -1), _Lifted(both[1], "grad", (dim,), -1)


def _double() -> AbstractContextManager[Any]:
    """JAX in double precision, where it is loaded: a function may be written in it."""
    jax: Any = sys.modules.get("jax")
    context: AbstractContextManager[Any] = (
        jax.enable_x64(True) if hasattr(jax, "enable_x64") else nullcontext()
    )
    return context
