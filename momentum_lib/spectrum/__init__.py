"""What a linear rule does to one eigen-direction, and from there everything about quadratics.

On a quadratic each eigen-direction of curvature lam runs by itself, and a linear rule is a matrix
there. The matrix is not typed: the rule is run on unit vectors and answers with its columns. All
functions take any rule, a student's too, and refuse one that is not linear.

A rule that counts its steps is analyzed at the step it is frozen at, ``.at(t=...)``, and else as t → ∞.
"""

from momentum_lib.spectrum.iterates import Transient, closed_form, transient_growth
from momentum_lib.spectrum.probing import Probe, iteration_matrix, probe
from momentum_lib.spectrum.stability import regimes, spectral_radius, stability_limit
from momentum_lib.spectrum.times import hitting_time, settling_time

__all__ = [
    "Probe",
    "Transient",
    "closed_form",
    "hitting_time",
    "iteration_matrix",
    "probe",
    "regimes",
    "settling_time",
    "spectral_radius",
    "stability_limit",
    "transient_growth",
]
