"""Checks of notebook 10: live with noise."""

from __future__ import annotations

import math

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.noise import autocorrelation_time, mean_square_limit, stationary_covariance

__all__ = ["check_batch_limit", "check_long_enough", "check_quiet_eta"]


@checked("the floor is where you asked for it, and no lower than needed.")
def check_quiet_eta(eta: float, *, gamma: float = 0.9, rms: float = 0.1) -> str | None:
    """Whether heavy ball's floor at curvature 1 and noise 1 has this root mean square."""
    if not eta > 0:
        return "a learning rate is above 0."
    floor = math.sqrt(stationary_covariance(RULES["heavy_ball"].at(eta=eta, gamma=gamma), 1.0, 1.0)[0, 0])
    if abs(floor / rms - 1) < 1e-3:
        return None
    if math.isinf(floor):
        return "this does not even converge without noise."
    return f"the root mean square distance is {floor:.3g}; {'less' if floor > rms else 'more'} eta."


@checked("one more percent and the mean square grows.")
def check_batch_limit(limit: float, *, gamma: float = 0.9, p: float = 0.1) -> str | None:
    """Whether this is the mean-square limit of eta lam where a batch sees the direction with chance p."""
    exact = float(mean_square_limit(RULES["heavy_ball"].at(gamma=gamma), (1 - p) / p))
    if abs(limit / exact - 1) < 1e-3:
        return None
    if abs(limit / (2 * (1 + gamma)) - 1) < 1e-3:
        return "that is the limit for the mean, without noise in the curvature."
    if abs(limit / (exact / p) - 1) < 1e-3:
        return "that is in units of the curvature of one batch; lam is the mean."
    return f"{'too large' if limit > exact else 'too small'}; what is V for a draw that is lam/p or 0?"


@checked("enough for one percent, and not a step more than needed.")
def check_long_enough(steps: float, *, h: float = 0.1, gamma: float = 0.9, error: float = 0.01) -> str | None:
    """Whether a run of this length measures the variance of theta with this relative standard error."""
    tau = float(autocorrelation_time(RULES["heavy_ball"].at(eta=1.0, gamma=gamma), h, of="variance"))
    exact = 2 * tau / error**2
    if abs(steps / exact - 1) < 0.01:
        return None
    if abs(steps * error**2 / 2 - 1) < 0.01:
        return "that many independent draws; successive steps are not independent."
    return f"the standard error would be {math.sqrt(2 * tau / steps):.2g} of the variance."
