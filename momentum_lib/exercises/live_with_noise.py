"""Checks of notebook 10: live with noise."""

from __future__ import annotations

import math

from momentum_lib.clock import a_rule
from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.noise import mean_square_limit, stationary_covariance
from momentum_lib.rules import heavy_ball
from momentum_lib.spectrum import spectral_radius

__all__ = ["check_batch_limit", "check_quiet_eta", "check_quieter_rule"]


def _near(value: float, other: float) -> bool:
    return abs(value / other - 1) < 2e-3  # three digits


@checked("the floor is where you asked for it, and no lower than needed.")
def check_quiet_eta(eta: float, *, gamma: float = 0.9, rms: float = 0.1) -> str | None:
    """Whether heavy ball's floor at curvature 1 and noise 1 has this root mean square."""
    if not eta > 0:
        return "a learning rate is above 0."
    ball = heavy_ball.at(gamma=gamma)
    floor = math.sqrt(stationary_covariance(ball.at(eta=float(eta)), 1.0, 1.0)[0, 0])
    if _near(floor, rms):
        return None
    if math.isinf(floor):
        return "this does not even converge without noise."
    if _near(floor**2, rms):
        return "that makes the variance 0.1; the root mean square is its root."
    if _near(eta, 2 * rms**2 / (1 + rms**2)):
        return "that is plain SGD's; momentum multiplies the floor by about 1/(1 - gamma)."
    return f"the root mean square distance is {floor:.3g}; {'less' if floor > rms else 'more'} eta."


@checked("one more percent and the mean square grows.")
def check_batch_limit(limit: float, *, gamma: float = 0.9, p: float = 0.1) -> str | None:
    """Whether this is the mean-square limit of eta lam where a batch sees the direction with chance p."""
    ratio = (1 - p) / p
    exact = float(mean_square_limit(heavy_ball.at(gamma=gamma), ratio))
    confusions = {
        2 * (1 + gamma): "that is the limit for the mean, without noise in the curvature.",
        exact / p: "that is in units of the curvature of one batch; lam is the mean.",
        2 * (1 - gamma): "that is the plateau of small batches, in units of E[a²]/E[a].",
        2 * (1 - gamma) / ratio: "that leaves out the first term, the limit without noise; add it.",
        2 * p: "that is plain SGD's limit; put gamma in.",
    }
    if _near(limit, exact):
        return None
    for wrong, hint in confusions.items():
        if _near(limit, wrong):
            return hint
    return f"{'too large' if limit > exact else 'too small'}; what is V for a draw that is lam/p or 0?"


@checked("as fast as plain SGD, and it hovers closer.")
def check_quieter_rule(rule: Rule, *, speed: float = 0.9) -> str | None:
    """Whether a rule shrinks the mean by `speed` a step at curvature 1, with a lower floor than SGD's."""
    rho = float(spectral_radius(a_rule(rule).closed(), 1.0))
    floor, plain = float(stationary_covariance(rule, 1.0, 1.0)[0, 0]), (1 - speed) / (1 + speed)
    if rho >= 1:
        return f"it does not converge: the mean grows by {rho:.4g} a step."
    if abs(rho - speed) > 2e-3:
        side = "slower" if rho > speed else "faster"
        return f"the mean shrinks by {rho:.4g} a step, {side} than the {speed:g} asked for."
    if floor > 0.98 * plain:
        return f"right speed, but its variance is {floor:.4g} and that of plain SGD is {plain:.4g}."
    return None
