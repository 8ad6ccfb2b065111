"""Linear rules under gradient noise: second moments, mean-square stability, filters.

On an eigen-direction of curvature lam a step is s' = M s + b xi, with M and b read off the rule by
`probe` and xi the noise of that step, of mean 0 and independent from step to step. Covariances,
limits, autocorrelations and filters all follow from M, b and the query c that the gradient is read at.

Two kinds of noise, both shared by all gradient reads of a step, and uncorrelated with each other:

- **Additive**, in units of the gradient: the gradient is lam query + xi, `sigma` the standard deviation
  of xi.
- **Curvature noise**, without a unit: the curvature a is drawn anew at each step, as minibatches do, with
  mean lam and variance ``variance_ratio * lam**2``. So `variance_ratio` is Var(a)/(E a)², everywhere in
  this room; a curvature lam/p with probability p and 0 else has (1 - p)/p. Given the past this noise is
  white too, (a - lam) query, so all it does is to feed the query's own second moment back.

A rule with a step count, a schedule or a first step of its own is read as `iteration_matrix` reads it.
`mean_square_curve` and `noisy_run` step it, as `run` does.
"""

from momentum_lib.noise.covariance import autocorrelation_time, stationary_covariance
from momentum_lib.noise.filters import (
    Smoothing,
    filter_coefficients,
    frequency_response,
    impulse_response,
    smoothing,
)
from momentum_lib.noise.mean_square import (
    Moments,
    mean_square_curve,
    mean_square_limit,
    mean_square_minimax,
    mean_square_radius,
    noisy_run,
)

__all__ = [
    "Moments",
    "Smoothing",
    "autocorrelation_time",
    "filter_coefficients",
    "frequency_response",
    "impulse_response",
    "mean_square_curve",
    "mean_square_limit",
    "mean_square_minimax",
    "mean_square_radius",
    "noisy_run",
    "smoothing",
    "stationary_covariance",
]
