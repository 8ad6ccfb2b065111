"""The loop of gradient and state on one eigen-direction; shared by the files of the room."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from momentum_lib.clock import brief, reals
from momentum_lib.definition import Rule, RuleError
from momentum_lib.spectrum.probing import probe

__all__ = ["EPS", "Array", "Loop", "close", "on_pairs", "slot_number", "spreads"]

Array = np.ndarray[Any, Any]
EPS = float(np.finfo(float).eps)


class Loop(NamedTuple):
    """s' = (1 + drift) s + b xi. M - 1 is kept and not M, so that slow modes keep their digits."""

    drift: Array
    b: Array
    c: Array | None

    @property
    def matrix(self) -> Array:
        """M."""
        return self.drift + np.eye(self.drift.shape[-1])

    @property
    def query(self) -> Array:
        """The one row c that the gradient is read at."""
        if self.c is None:
            raise RuleError(
                "the rule reads the gradient at several points a step, so there is no one query, and the "
                "variance of the curvature does not settle the second moments; simulate it with run()."
            )
        return self.c

    @property
    def feedback(self) -> Array:
        """M(a) = M + (a - lam) b c."""
        return self.b[..., :, None] * self.query[..., None, :]


def close(rule: Rule, lam: Any) -> Loop:
    """Close the loop at curvature lam, which broadcasts with the letters."""
    A, B, C, D = system = probe(rule)
    (lam,), _ = spreads(np.broadcast_shapes(*(part.shape[:-2] for part in system)), lam=lam)
    lam = lam[..., None, None]
    single = not D.any() and bool((C == C[..., :1, :]).all())
    with np.errstate(all="ignore"):
        if D.any():  # a later read sees the earlier ones: g = lam (C s + D g) + xi
            B = B @ np.linalg.inv(np.eye(D.shape[-1]) - lam * D)
        b, c = B.sum(axis=-1), C[..., 0, :]
        back = b[..., :, None] * c[..., None, :] if single else B @ C
        drift = (A - np.eye(A.shape[-1])) + lam * back
    if np.iscomplexobj(drift):
        raise RuleError(f"{rule} has complex letters, and noise here is about real ones; give real numbers.")
    shape = drift.shape[:-1]
    b, c = (x if x.shape == shape else np.broadcast_to(x, shape) for x in (b, c))
    return Loop(drift, b, c if single else None)


def spreads(shape: tuple[int, ...], **named: Any) -> tuple[list[Array], tuple[int, ...]]:
    """Arguments as arrays, lam and theta0 of either sign, the rest at least 0; and their common shape."""
    arrays = []
    for name, value in named.items():
        array = reals(name, value)
        if name not in ("lam", "theta0") and (array < 0).any():
            raise ValueError(f"{name} is {array.min():g}; a spread is at least 0.")
        arrays.append(array)
    try:
        return arrays, np.broadcast_shapes(shape, *(array.shape for array in arrays))
    except ValueError:
        listed = ", ".join(f"{n} {a.shape}" for n, a in zip(named, arrays, strict=True) if a.shape)
        raise ValueError(
            f"{listed} does not broadcast with the rest, {shape}; reshape one of them."
        ) from None


def slot_number(rule: Rule, slot: str | None) -> int:
    """The number of a slot, the first by default."""
    if slot is not None and not (isinstance(slot, str) and slot in rule.slots):
        raise RuleError(f"{rule.name} has no slot {brief(slot)}; take one of {', '.join(rule.slots)}.")
    return 0 if slot is None else rule.slots.index(slot)


def on_pairs(x: Array, y: Array) -> Array:
    """S -> x S y', symmetrized, as a matrix on the n(n+1)/2 distinct entries of a symmetric S."""
    i, j = np.triu_indices(x.shape[-1])
    row, col = i[:, None], j[:, None]
    straight = x[..., row, i] * y[..., col, j] + x[..., col, i] * y[..., row, j]
    crossed = x[..., row, j] * y[..., col, i] + x[..., col, j] * y[..., row, i]
    return np.asarray((straight + np.where(i == j, 0, crossed)) / 2)
