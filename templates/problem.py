"""A problem: a function to descend, with its gradient, its minimizers and its range of curvature.

It can move to ``momentum_lib/problems/`` as it stands. For a plain function there is `Problem.from_function`.
"""

from typing import Any

import numpy as np

from momentum_lib import Problem, heavy_ball, run


class MyProblem(Problem):
    """A ravine that gets steeper away from its floor: ½ mu x² + ½ L y² + ¼ y⁴.

    Parameters
    ----------
    mu, L : float
        Curvatures at the minimizer, positive.

    Raises
    ------
    ValueError
        A curvature that is not positive.

    Examples
    --------
    >>> MyProblem().grad([1.0, 1.0])
    array([0.01, 2.  ])
    """

    def __init__(self, mu: float = 0.01, L: float = 1.0) -> None:
        if not (mu > 0 and L > 0):
            raise ValueError(f"mu={mu!r}, L={L!r}: curvatures at a minimizer are positive.")
        self.mu, self.steep = float(mu), float(L)  # far out the curvature has no limit, so L stays inf
        self.minimizer = np.zeros(2)

    def _value(self, theta: Any) -> Any:
        x, y = theta[..., 0], theta[..., 1]
        return self.mu * x**2 / 2 + self.steep * y**2 / 2 + y**4 / 4

    def _grad(self, theta: Any) -> Any:
        x, y = theta[..., 0], theta[..., 1]
        return np.stack([self.mu * x, self.steep * y + y**3], axis=-1)


if __name__ == "__main__":
    problem, point, step = MyProblem(), np.array([1.0, -0.7]), 1e-6
    sides = [(problem.value(point + e) - problem.value(point - e)) / (2 * step) for e in step * np.eye(2)]
    assert np.allclose(problem.grad(point), sides, atol=1e-8)  # the gradient is the value's
    done = run(heavy_ball.at(eta=0.8, gamma=0.8), problem.grad, point, 400)
    print(f"gap after 400 steps: {float(problem.gap(done.theta[-1])):.1e}")
