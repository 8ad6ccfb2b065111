"""Sharpness: the largest eigenvalue of a loss's Hessian, from products with vectors alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from momentum_lib.clock import count_of, real
from momentum_lib.collection import needs
from momentum_lib.learning.tasks import Task
from momentum_lib.learning.training import by_code

__all__ = ["largest_eigenvalue", "sharpness"]

Array = np.ndarray[Any, Any]


@needs("jax", "learning")
def sharpness(task: Task, theta: Array, batch: Any = None, tol: float = 1e-3) -> float:
    """Largest eigenvalue of the Hessian of the task's loss at theta, in units of loss over theta squared.

    Parameters
    ----------
    task : Task
    theta : array or tree of arrays
        As ``task.start`` gives it; its n numbers are one vector here.
    batch : optional
        As ``task.draw`` gives it; one is drawn if left out, which is the full batch where there is no other.
    tol : float
        Relative accuracy, above 0.

    Returns
    -------
    float
        nan where theta or the curvature is not finite.

    Source: the products of Pearlmutter 1994, the eigenvalue by ARPACK's Lanczos iteration
    (`scipy.sparse.linalg.eigsh`).

    Examples
    --------
    >>> from momentum_lib.learning import Classifier, Digits
    >>> task = Classifier(Digits(count=50), (8,), batch=None)
    >>> bool(0.1 < sharpness(task, task.start(seed=0)) < 100)
    True
    """
    import jax
    from jax.flatten_util import ravel_pytree

    vector, tree = ravel_pytree(theta)
    if not np.isfinite(vector).all():
        return np.nan
    batch = task.draw(jax.random.key(0)) if batch is None else batch
    product = _hessian_product(task)

    def turned(u: Array) -> Any:
        return ravel_pytree(product(theta, batch, tree(u.astype(vector.dtype))))[0]

    return largest_eigenvalue(turned, vector.size, tol)


def largest_eigenvalue(product: Any, size: int, tol: float = 1e-3) -> float:
    """Largest (not: of largest modulus) eigenvalue of a symmetric matrix given by its products.

    Examples
    --------
    >>> round(largest_eigenvalue(lambda u: np.array([1.0, -9.0, 4.0]) * u, 3), 6)
    4.0
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    size, tol = count_of("size", size, 1, 10**9), real("tol", tol, above=0)
    operator = LinearOperator((size, size), matvec=lambda u: np.asarray(product(u.ravel()), float))
    start = np.random.default_rng(0).standard_normal(size)  # the same answer every time
    once = operator @ start
    if not np.isfinite(once).all():
        return np.nan
    if size < 3:  # Lanczos wants more room than that
        return float(np.linalg.eigvalsh(np.stack([product(column) for column in np.eye(size)]))[-1])
    if not once.any():  # ARPACK takes no start that the matrix sends to zero
        return 0.0
    try:
        found = eigsh(operator, k=1, which="LA", tol=tol, v0=start, return_eigenvectors=False)
    except ArpackNoConvergence:
        return np.nan
    return float(found[0])


@by_code
def _hessian_product(task: Task) -> Any:
    import jax

    @jax.jit  # type: ignore[untyped-decorator]
    def product(theta: Any, batch: Any, u: Any) -> Any:
        return jax.jvp(lambda x: jax.grad(task.loss)(x, batch), (theta,), (u,))[1]

    return product
