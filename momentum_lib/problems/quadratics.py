"""Convex quadratics, dense, sparse or an operator."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from momentum_lib.parts import namespace
from momentum_lib.problems.base import Array, Problem, finite, like, on_jax, rounding, symmetric

__all__ = ["Quadratic"]

#: Up to this size all eigenvalues of a sparse matrix or an operator are found, by way of a dense one.
DENSE: Final = 2000


class Quadratic(Problem):
    """The convex quadratic f = ½ theta'A theta - b'theta + c; on complex theta its real part, ' the adjoint.

    A sparse matrix stays sparse and an operator is only applied, so many coordinates are built and
    descended at once. What takes longer is found when it is asked for: `minimizer` (and values, which
    need it), `eigenvalues`, and `mu` and `L`, where such a matrix is refused if it is not convex.

    Parameters
    ----------
    eigenvalues : (d,) array_like, optional
        Curvatures along the axes (or the columns of `rotation`), in the order given.
    matrix : (d, d) array_like, SciPy sparse matrix or LinearOperator, optional
        A itself, symmetric and positive semidefinite; its eigenvalues come ascending.
    linear : (d,) array_like, optional
        b; zero unless given.
    constant : float
        c, which moves values only.
    rotation : (d, d) orthogonal array, Generator or int, optional
        Eigen-directions as columns; a generator or seed draws them uniformly.
    minimizer : (d,) array_like, optional
        In place of `linear`, b = A minimizer.

    Attributes
    ----------
    matrix : (d, d) array, sparse array or LinearOperator
    eigenvalues : (d,) array
    eigenvectors : (d, d) array, columns; None when the axes are the eigen-directions

    Raises
    ------
    ValueError
        Neither or both of eigenvalues and matrix, wrong shapes, entries not finite, an asymmetric or
        indefinite matrix, a linear term without minimizer; all eigenvalues of a large sparse matrix.

    Examples
    --------
    >>> problem = Quadratic([1, 10], minimizer=[2, 0])
    >>> problem.grad([3, 1]), float(problem.value([3, 1])), problem.kappa
    (array([ 1., 10.]), 3.5, 10.0)
    """

    def __init__(
        self,
        eigenvalues: npt.ArrayLike | None = None,
        *,
        matrix: Any = None,
        linear: npt.ArrayLike | None = None,
        constant: float = 0.0,
        rotation: npt.ArrayLike | np.random.Generator | None = None,
        minimizer: npt.ArrayLike | None = None,
    ) -> None:
        if (eigenvalues is None) == (matrix is None):
            raise ValueError("Quadratic takes eigenvalues or matrix=; give exactly one of the two.")
        if linear is not None and minimizer is not None:
            raise ValueError("Quadratic takes linear= or minimizer=, not both; each fixes the other.")
        if rotation is not None and matrix is not None:
            raise ValueError("rotation= goes with eigenvalues; a matrix brings its own directions.")
        self.constant = float(constant)
        #: A as it is applied: a row of eigenvalues, a dense or sparse matrix, an operator.
        self._a: Any
        if matrix is None:
            self._a = self.eigenvalues = _convex(finite("eigenvalues", eigenvalues, 1), 0.0)
            self.eigenvectors = None
            if rotation is not None:
                q = self.eigenvectors = _rotation(rotation, len(self._a))
                self._a = symmetric((q * self._a) @ q.T, "matrix")
        else:
            self._a = _symmetric(matrix)
        d = self._a.shape[0]
        if minimizer is not None:
            self.minimizer = finite("minimizer", minimizer, 1, d)
            self.linear = self._times_matrix(self.minimizer)
        else:
            self.linear = np.zeros(d) if linear is None else finite("linear", linear, 1, d)
        if isinstance(self._a, np.ndarray):  # what is no convex quadratic is refused here
            self.mu, self.L = self._range
            self.minimizer = self._solve() if minimizer is None else self.minimizer
        for held in vars(self).values():
            if isinstance(held, np.ndarray):
                held.flags.writeable = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one point, (dim,)."""
        size: tuple[int, ...] = self._a.shape[:1]
        return size

    @cached_property
    def matrix(self) -> Any:
        """A, dense where the eigenvalues were given."""
        return np.diag(self._a) if np.ndim(self._a) == 1 else self._a

    @cached_property
    def eigenvalues(self) -> Array:
        """All eigenvalues, in the order given or ascending."""
        return self._spectrum[0]

    @cached_property
    def eigenvectors(self) -> Array | None:
        """The eigen-directions as columns; None when the axes are."""
        return self._spectrum[1]

    @cached_property
    def mu(self) -> float:  # type: ignore[override]
        """The least eigenvalue; may be set where it is known."""
        return self._range[0]

    @cached_property
    def L(self) -> float:  # type: ignore[override] # noqa: N802
        """The largest eigenvalue; may be set where it is known."""
        return self._range[1]

    @cached_property
    def minimizer(self) -> Array:
        """Where the least value is taken; the one of least norm where there are many."""
        return self._solve()

    @cached_property
    def minimum(self) -> float:
        """The least value."""
        return float(self.constant - self.linear @ self.minimizer / 2)

    @property
    def _large(self) -> bool:
        """Whether only the ends of the spectrum are found."""
        return not isinstance(self._a, np.ndarray) and self.dim > DENSE

    @cached_property
    def _spectrum(self) -> tuple[Array, Array]:
        if self._large:
            raise ValueError(
                f"all {self.dim} eigenvalues of a sparse matrix take a dense one of "
                f"{self.dim**2 / 2**27:.1f} GiB; use mu and L, or at most {DENSE} coordinates."
            )
        dense = self._a if isinstance(self._a, np.ndarray) else self._a @ np.eye(self.dim)
        lam, directions = np.linalg.eigh(symmetric(dense, "matrix"))
        return _convex(lam, rounding(lam)), directions

    @cached_property
    def _range(self) -> tuple[float, float]:
        if self._large:
            lam = _extremes(self._a)
            lam = _convex(lam, 1e-12 * np.abs(lam).max())
        else:
            lam = self.eigenvalues
        return float(lam.min()), float(lam.max())

    def _solve(self) -> Array:
        b = self.linear
        if not b.any():
            return np.zeros(self.dim)
        if self._large:
            from scipy.sparse.linalg import cg, spsolve

            # From zero, conjugate gradients find the minimizer of least norm.
            solution, lost = cg(self._a, b, rtol=1e-12, maxiter=min(self.dim + 1000, 20_000))
            if lost and hasattr(self._a, "tocsc") and self.mu > 0:
                solution, lost = spsolve(self._a.tocsc(), b), 0
        else:
            lam, q = self.eigenvalues, self.eigenvectors
            along = b if q is None else b @ q
            lost = np.any(np.abs(along[lam == 0]) > 1e-9 * np.linalg.norm(b))
            along = np.divide(along, lam, out=np.zeros(self.dim), where=lam > 0)
            solution = along if q is None else q @ along
        if lost:
            raise ValueError(
                "the quadratic is flat in a direction in which its linear term is not zero, so no "
                "minimizer is found; give a linear term in the range of the matrix, or minimizer=."
            )
        return np.asarray(solution)

    def _times_matrix(self, theta: Array) -> Array:
        if isinstance(self._a, np.ndarray):
            a = like(self._a, theta)
            return theta * a if a.ndim == 1 else theta @ a
        if on_jax(theta):
            raise ValueError(
                "a sparse matrix or an operator multiplies NumPy's arrays and not JAX's; start from a NumPy "
                "array, or give the matrix dense."
            )
        # SciPy multiplies columns, in double precision.
        columns = theta.reshape(-1, self.dim).T
        product = self._a @ columns.astype(np.result_type(columns, float))
        return like(product.T.reshape(theta.shape), theta)

    def _value(self, theta: Array) -> Any:
        return self.minimum + self._gap(theta)

    def _grad(self, theta: Array) -> Any:
        return self._times_matrix(theta) - like(self.linear, theta)

    def _gap(self, theta: Array) -> Any:
        """Half the form at the distance from the minimizer: no cancellation."""
        away = theta - like(self.minimizer, theta)
        return namespace(theta).vecdot(away, self._times_matrix(away)).real / 2

    def __repr__(self) -> str:
        if self._large and "mu" not in vars(self):  # printing computes nothing
            return f"{type(self).__name__}(dim={self.dim})"
        return super().__repr__()


def _convex(lam: Array, noise: float) -> Array:
    """Eigenvalues without those of rounding; a negative one is refused."""
    if lam.min() < -noise:
        raise ValueError(
            f"the quadratic has the eigenvalue {lam.min():.6g}; a convex one has none below 0 "
            "(Saddle is a function with a descending direction)."
        )
    return np.where(lam <= noise, 0.0, lam)


def _symmetric(given: Any) -> Any:
    """A matrix as it was given: dense, sparse or an operator, refused unless it is symmetric."""
    if hasattr(given, "toarray"):
        from scipy.sparse import csr_array

        sparse = csr_array(given, copy=True)  # its indices will be sorted
        sparse.data = finite("matrix", sparse.data, 1)
        return symmetric(sparse, "matrix")
    if not hasattr(given, "matvec"):
        return symmetric(finite("matrix", given, 2), "matrix")
    u, v = np.random.default_rng(0).standard_normal((2, given.shape[1]))
    image = given.matvec(v)
    if given.shape[0] != given.shape[1] or abs(u @ image - v @ given.matvec(u)) > 1e-9 * np.linalg.norm(
        image
    ):
        raise ValueError(
            f"the operator of shape {given.shape} is not its own transpose; give a symmetric one."
        )
    return given


def _extremes(matrix: Any) -> Array:
    """The least and the largest eigenvalue of a sparse matrix or an operator."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    start = np.random.default_rng(0).standard_normal(matrix.shape[0])

    def nearest(a: Any, **where: Any) -> float:
        return float(eigsh(a, 1, **where, v0=start, tol=1e-9, maxiter=100, return_eigenvectors=False)[0])

    try:  # by products alone
        high = nearest(matrix, which="LA")
        low = high - nearest(
            LinearOperator(matrix.shape, lambda x: high * x - matrix @ x, dtype=float), which="LA"
        )
        return np.array([low, high])
    except ArpackNoConvergence:  # ends that are crowded, as those of a long chain
        pass
    try:
        # Gershgorin's circles hold every eigenvalue: the nearest one to a point outside them is an extreme.
        middle, row, columns = matrix.diagonal(), abs(matrix).sum(axis=0), matrix.tocsc()
        low, high = (middle + abs(middle) - row).min(), (middle - abs(middle) + row).max()
        outside = 1e-8 * (high - low)
        return np.array([nearest(columns, sigma=s) for s in (low - outside, high + outside)])
    except (AttributeError, ArpackNoConvergence):  # an operator has no entries
        raise ValueError(
            "the least and the largest eigenvalue of this matrix were not found; set mu and L of the problem."
        ) from None


def _rotation(given: npt.ArrayLike | np.random.Generator, d: int) -> Array:
    if isinstance(given, np.random.Generator) or np.ndim(given) == 0:
        q, r = np.linalg.qr(np.random.default_rng(given).standard_normal((d, d)))  # type: ignore[arg-type]
        return np.asarray(q * np.sign(np.diag(r)))  # the sign makes the draw uniform
    q = finite("rotation", given, 2, d)
    if np.abs(q.T @ q - np.eye(d)).max() > 1e-10:
        raise ValueError("rotation is not orthogonal; give orthonormal columns, or a seed to draw them.")
    return q
