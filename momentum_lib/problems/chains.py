"""Quadratics of graphs: the chains on which every method is slow, and color that spreads over a grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from momentum_lib.clock import count_of, real
from momentum_lib.problems.base import Array
from momentum_lib.problems.quadratics import Quadratic

__all__ = ["Colorizer", "ConvexRosenbrock", "NesterovWorst", "grid_laplacian"]


class _Chain(Quadratic):
    """½ x'(scale T + shift) x - scale x_1, T tridiagonal (-1, 2, -1) with the last diagonal entry 2 - end."""

    def __init__(
        self, n: int, scale: float, shift: float, end: float, minimizer: Array, constant: float = 0.0
    ) -> None:
        diagonal = np.full(n, 2 * scale + shift)
        diagonal[-1] -= scale * end
        super().__init__(
            matrix=_tridiagonal(diagonal, -scale), linear=scale * (np.arange(n) == 0), constant=constant
        )
        self.eigenvalues = shift + 4 * scale * np.sin(_angles(n, end) / 2) ** 2
        self.mu, self.L = float(self.eigenvalues[0]), float(self.eigenvalues[-1])
        self.minimizer = minimizer


class ConvexRosenbrock(_Chain):
    """Distill's convex Rosenbrock, a chain pulled at one end and tied to zero at every link.

    ½(w_1 - 1)² + ½ Σ_{i≤n} (w_i - w_{i+1})² + 2/(kappa - 1) ‖w‖², with w_{n+1} = 0. The `kappa` asked for
    is reached, and w_i = q^i with q = (√kappa - 1)/(√kappa + 1) minimizes, only as n grows; `kappa` and
    `minimizer` here are the true ones.

    Source: Goh 2017, "Why momentum really works".

    Examples
    --------
    >>> round(ConvexRosenbrock(25, 100).kappa, 4)
    73.215
    """

    def __init__(self, n: int = 25, kappa: float = 100.0) -> None:
        n = count_of("n", n, 1, 10**8)
        kappa = real("kappa", kappa, above=1)
        q, i = _decay(kappa), np.arange(1, n + 1)
        minimizer = (q**i - q ** (2 * n + 2 - i)) / (1 - q ** (2 * n + 2))
        super().__init__(n, 1.0, 4 / (kappa - 1), 0.0, minimizer, constant=0.5)


class NesterovWorst(_Chain):
    """Nesterov's worst quadratic: from 0, t gradients reach the first t coordinates and no more.

    f = (L - mu)/4 (½ x'Tx - x_1) + mu/2 ‖x‖², T tridiagonal (-1, 2, -1). For mu > 0 the last
    diagonal entry is (√kappa + 3)/(√kappa + 1), which makes the minimizer x_i = q^i with
    q = (√kappa - 1)/(√kappa + 1) exact at every n; for mu = 0 it is 2 and x_i = 1 - i/(n + 1). The
    eigenvalues lie in [mu, L] and fill it as n grows: the attributes `mu` and `L` are the true extremes.

    Source: Nesterov 2004, sections 2.1.2 and 2.1.4.

    Examples
    --------
    >>> NesterovWorst(4, 1, 9).minimizer
    array([0.5   , 0.25  , 0.125 , 0.0625])
    """

    def __init__(self, n: int, mu: float, L: float) -> None:
        n = count_of("n", n, 2, 10**8)
        mu, L = real("mu", mu), real("L", L)
        if not 0 <= mu < L:
            raise ValueError(f"mu={mu} and L={L}; Nesterov's function needs 0 <= mu < L, both finite.")
        self._q, i = (_decay(L / mu) if mu else 0.0), np.arange(1, n + 1)
        super().__init__(n, (L - mu) / 4, mu, self._q, self._q**i if mu else 1 - i / (n + 1))

    def gap_bound(self, t: int) -> float:
        """Gap left, at least, after t steps from 0 (**lower** bound).

        Exactly the gap of the least value over the first t coordinates, where x_1 is nearer to 0 than at
        the minimizer. Nesterov 2004, Theorem 2.1.7 takes mu = 0 and n = 2t + 1 and keeps
        3 L ‖x*‖²/(32 (t + 1)²) of it.
        """
        t, n, q = count_of("t", t), self.dim, self._q
        if t >= n:
            return 0.0
        short = q ** (2 * t + 1) * (1 - q**2) / (1 - q ** (2 * t + 2)) if q else 1 / (t + 1) - 1 / (n + 1)
        return float(self.linear[0] * short / 2)


class Colorizer(Quadratic):
    """Color spreading over a grid from one pinned corner: ½(w_0 - 1)² + ½ Σ_edges (w_i - w_j)².

    Every entry ends at 1; how fast is the condition number of a graph. Without the pin the function
    is ``Quadratic(matrix=grid_laplacian(*shape))``.

    Source: Goh 2017, the colorization problem.

    Examples
    --------
    >>> round(Colorizer(16, 16).kappa, 2)
    5289.93
    """

    def __init__(self, *shape: int) -> None:
        matrix = grid_laplacian(*shape)
        matrix[0, 0] += 1
        super().__init__(matrix=matrix, minimizer=np.ones(matrix.shape[0]), constant=0.5)


def grid_laplacian(*shape: int) -> Any:
    """Laplacian of the grid graph of this shape; ``grid_laplacian(n)`` is the path of n nodes.

    Returns
    -------
    (n, n) sparse array, n the product of the shape

    Raises
    ------
    ValueError
        No shape, or a side below 1.

    Examples
    --------
    >>> grid_laplacian(3).toarray()
    array([[ 1., -1.,  0.],
           [-1.,  2., -1.],
           [ 0., -1.,  1.]])
    """
    from scipy.sparse import csr_array, kronsum

    if not shape:
        raise ValueError("a grid of shape () has no nodes; give its sides.")
    total = csr_array((1, 1))
    for side in shape:
        diagonal = np.full(count_of("a side", side, 1, 10**8), 2.0)
        diagonal[0] -= 1
        diagonal[-1] -= 1
        total = kronsum(_tridiagonal(diagonal, -1.0), total, "csr")
    return total


def _tridiagonal(diagonal: Array, side: float) -> Any:
    from scipy.sparse import diags_array

    n = len(diagonal)
    sides = [(np.full(n - 1, side), k) for k in (-1, 1)] if n > 1 else []
    parts, offsets = zip((diagonal, 0), *sides, strict=True)
    return diags_array(parts, offsets=offsets, format="csr")


def _angles(n: int, end: float) -> Array:
    """The angles a in (0, pi), ascending, for which 2 - 2 cos a is an eigenvalue of the chain of `_Chain`.

    They solve sin((n + 1) a) = end sin(n a), that is n a + arg(exp(ia) - end) = k pi, whose left side is
    concave: Newton's steps from below, where end is 1, never pass the root. At end 0 the first is exact.
    """
    turns = np.pi * np.arange(1, n + 1)
    a = (turns - np.pi / 2) / (n + 0.5)
    for _ in range(8):
        ray = np.exp(1j * a) - end
        slope = n + (1 - end * np.cos(a)) / np.abs(ray) ** 2
        a = a - (n * a + np.angle(ray) - turns) / slope
    return a


def _decay(kappa: float) -> float:
    """The factor q from one coordinate to the next of a chain's minimizer."""
    root = float(np.sqrt(kappa))
    return (root - 1) / (root + 1)
