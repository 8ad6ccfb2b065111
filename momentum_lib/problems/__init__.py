"""Functions to descend, with everything a claim about them needs.

A problem has ``value(theta)``, ``grad(theta)``, ``minimizer``, ``minimizers`` (local ones too),
``minimum``, ``gap(theta)``, and the range ``mu``, ``L`` its curvature keeps everywhere (``-inf``, ``inf``
where it keeps none). `Problem.from_function` makes one of a plain function. The last axis
of `theta` is the coordinate and leading axes are a batch; the one-dimensional functions (`LessardCycle`,
`DoubleWell`, `Plateau`, `MultiWell`) have no coordinate axis: every entry is a point of its own. The
dtype of `theta` is kept.

An oracle whose gradient is not the problem's own at every step (`Noisy`, `Minibatch`, `Multiplicative`,
`SampledCoordinates`, `Moving`) is called for the full gradient and gives ``at_step(t, rng)``, the gradient
function of one step: one draw, however often the rule asks. Every point of a batch or grid gets a draw of
its own; with ``shared=True`` all of them get the same one (common random numbers).
"""

from momentum_lib.problems.base import Problem
from momentum_lib.problems.chains import Colorizer, ConvexRosenbrock, NesterovWorst, grid_laplacian
from momentum_lib.problems.cycles import GoujaudCycle, LessardCycle, Plateau
from momentum_lib.problems.landscapes import (
    Beale,
    DoubleWell,
    Himmelblau,
    MultiWell,
    Rastrigin,
    Rosenbrock,
    Saddle,
)
from momentum_lib.problems.oracles import Minibatch, Moving, Multiplicative, Noisy, SampledCoordinates
from momentum_lib.problems.quadratics import Quadratic
from momentum_lib.problems.regressions import LeastSquares, Logistic

__all__ = [
    "Beale",
    "Colorizer",
    "ConvexRosenbrock",
    "DoubleWell",
    "GoujaudCycle",
    "Himmelblau",
    "LeastSquares",
    "LessardCycle",
    "Logistic",
    "Minibatch",
    "Moving",
    "MultiWell",
    "Multiplicative",
    "NesterovWorst",
    "Noisy",
    "Plateau",
    "Problem",
    "Quadratic",
    "Rastrigin",
    "Rosenbrock",
    "Saddle",
    "SampledCoordinates",
    "grid_laplacian",
]
