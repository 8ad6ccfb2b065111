"""Checks of notebook 03: read the eigenvalues."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

import numpy as np

from momentum_lib.clock import real
from momentum_lib.exercises.verdict import checked
from momentum_lib.problems import Quadratic
from momentum_lib.rules import heavy_ball, nesterov
from momentum_lib.runner import run
from momentum_lib.spectrum import closed_form, regimes, settling_time
from momentum_lib.tuning import finite_bound

__all__ = ["check_guarantee", "check_nesterov_bound", "check_period"]


@checked("trace 0 puts the pair on the imaginary axis, a quarter turn a step.")
def check_period(eta: float, *, gamma: float = 0.81, lam: float = 1.0) -> str | None:
    """Whether heavy ball with this `eta` swings with a period of exactly four steps."""
    eta = real("eta", eta, above=0)
    rule = heavy_ball.at(eta=eta, gamma=gamma)
    regime = regimes(rule, lam)
    if regime != "oscillating":
        return f"this eta gives the {regime} regime; a period needs a complex pair of eigenvalues."
    # Four steps on, the same run shrunk by gamma squared.
    theta = run(rule, lambda x: lam * x, 1.0, 8).theta
    if abs(theta[4:] - gamma**2 * theta[:-4]).max() < 1e-9:
        return None
    angle = math.acos((1 + gamma - eta * lam) / (2 * math.sqrt(gamma)))
    return f"the period here is {2 * math.pi / angle:.3g} steps; where in the plane is the pair for 4?"


@checked("the smallest step count that the exact bound certifies, for every quadratic with this kappa.")
def check_guarantee(steps: int, *, kappa: float = 100.0, tol: float = 1e-6) -> str | None:
    """Whether `steps` is the first step count from which every run from rest is within `tol`."""
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral):
        return "a step count is a whole number."
    # The steep end of the spectrum is the worst curvature, at any step.
    root = math.sqrt(kappa)
    tuned = {"eta": 4 / (1 + 1 / root) ** 2, "gamma": ((root - 1) / (root + 1)) ** 2}
    horizon = int(20 * root)
    steep = np.abs(closed_form(heavy_ball.at(**tuned), Quadratic([1.0]), [1.0], horizon)[:, 0])
    needed = int(np.flatnonzero(steep > tol)[-1]) + 1
    if steps == needed:
        return None
    naive = math.ceil(math.log(tol) / math.log((root - 1) / (root + 1)))
    if steps == naive:
        return "that is where rho^t reaches tol; the exact bound has one more factor."
    if steps == int(settling_time(heavy_ball.at(**tuned), [1 / kappa, 1.0], 1.0, tol, horizon)):
        return (
            "so long it takes from (1, 1); the worst start has all of its length in the steepest direction."
        )
    shorter = finite_bound(heavy_ball, 1 / kappa, 1.0, np.arange(horizon), start="polyak")
    if steps == int(np.flatnonzero(shorter > tol)[-1]) + 1:
        return "that is with the shorter first step; here the velocity starts at rest."
    side = "a run can still be outside" if steps < needed else "it holds, but it holds earlier too"
    return f"after that many steps {side}; look where the exact bound falls below tol for good."


@checked("exact: attained by the flattest direction, lam = mu, at every step and every kappa.")
def check_nesterov_bound(bound: Callable[[float, int], float]) -> str | None:
    """Whether ``bound(kappa, t)`` is the worst of Nesterov's runs, eta = 1/L, over [mu, L]."""
    if not callable(bound):
        return "hand in a function of kappa and t."
    for kappa in (4.0, 25.0, 400.0):
        root = math.sqrt(kappa)
        lam = np.linspace(1 / kappa, 1, 201)
        rule = nesterov.at(eta=1.0, gamma=(root - 1) / (root + 1))
        theta = closed_form(rule, Quadratic(lam), np.ones_like(lam), 60)
        for t in (1, 2, 5, 20, 60):
            worst, said = float(np.abs(theta[t]).max()), float(bound(kappa, t))
            if not abs(said - worst) <= 1e-8 * worst:
                if math.isclose(said, float(finite_bound(heavy_ball, 1 / kappa, 1.0, t)), rel_tol=1e-9):
                    return "that is heavy ball's, whose double root is at lam = L; Nesterov's is at lam = mu."
                fails = "a run exceeds it" if said < worst else "no run comes that far"
                return (
                    f"at kappa = {kappa:g}, t = {t} you say {said:.4g}, the worst run {worst:.4g}: {fails}."
                )
    return None
