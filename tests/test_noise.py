"""Second moments and filters: the equations they solve, what simulation gives, what the literature states."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from scipy.signal import freqz, lfilter

from momentum_lib import NotLinear, Rule, RuleError, run
from momentum_lib.noise import (
    autocorrelation_time,
    filter_coefficients,
    frequency_response,
    impulse_response,
    mean_square_curve,
    mean_square_limit,
    mean_square_minimax,
    mean_square_radius,
    noisy_run,
    smoothing,
    stationary_covariance,
)
from momentum_lib.problems import Noisy, Quadratic
from momentum_lib.rules import (
    accsgd,
    bias_corrected,
    gradient_descent,
    heavy_ball,
    keras_nesterov,
    nesterov,
    polyak_two_step,
    qhm,
    torch_nesterov,
    torch_sgd,
)
from momentum_lib.spectrum import iteration_matrix, spectral_radius, stability_limit


@Rule
def quasi_hyperbolic(theta, m, grad, *, alpha, beta, nu):
    m = beta * m + (1 - beta) * grad(theta)
    return theta - alpha * ((1 - nu) * grad(theta) + nu * m), m  # asks twice, at the same point


@Rule
def output_only(out, xi, xi_prev, grad, *, alpha, beta, gamma, delta):
    """The triple momentum family: the first slot is reported and never read again."""
    new = (1 + beta) * xi - beta * xi_prev - alpha * grad((1 + gamma) * xi - gamma * xi_prev)
    return (1 + delta) * new - delta * xi, new, xi


@Rule
def three_velocities(theta, v1, v2, v3, grad, *, eta, a=0.5, b=0.9, c=0.99):
    g = grad(theta)
    v1, v2, v3 = g + a * v1, g + b * v2, g + c * v3
    return theta - eta * (v1 + v2 + v3) / 3, v1, v2, v3


@Rule
def extragradient(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(theta - eta * grad(theta))
    return theta - v, v


@Rule
def ball_in_other_letters(theta, v, grad, *, lr, mom):
    v = mom * v + lr * grad(theta)
    return theta - v, v


RULES = [
    gradient_descent.at(eta=0.7),
    heavy_ball.at(eta=0.3, gamma=0.9),
    heavy_ball.at(eta=2.9, gamma=0.5),
    heavy_ball.at(eta=1e-3, gamma=0.0),
    nesterov.at(eta=1.3, gamma=0.9),
    polyak_two_step.at(eta=0.3, gamma=0.5),
    bias_corrected.at(eta=0.3, gamma=0.5),
    torch_sgd.at(eta=0.3, gamma=0.9, dampening=0.5, weight_decay=0.05),
    torch_nesterov.at(eta=0.3, gamma=0.9),
    keras_nesterov.at(eta=0.3, gamma=0.9, weight_decay=0.05),
    quasi_hyperbolic.at(alpha=1.0, beta=0.999, nu=0.7),
    output_only.at(alpha=0.9, beta=0.5, gamma=0.3, delta=0.4),
    three_velocities.at(eta=0.3),
    extragradient.at(eta=0.3, gamma=0.9),
]
BALL, NAG, DECAYING = RULES[1], RULES[4], RULES[7]
CASES = pytest.mark.parametrize("rule", RULES, ids=str)
ONE_QUERY = pytest.mark.parametrize("rule", RULES[:-1], ids=str)


class Pulse:
    """The gradient of a parabola, and a push at one step."""

    def __init__(self, lam, at, push=1.0):
        self.lam, self.at, self.push = lam, at, push

    def __call__(self, theta):
        return self.lam * theta

    def at_step(self, t, rng):
        return lambda theta: self.lam * theta + self.push * (t == self.at)


def push_of(rule, lam):
    """What one unit of noise does to the slots in one step, asked of the rule itself."""
    late = {"t": 10**30} if rule.counts else {}
    return np.array(rule(*[np.float64(0)] * len(rule.slots), lambda x: lam * x + 1, **late))


def heavy_ball_variance(eta, gamma, lam):
    return eta * (1 + gamma) / (lam * (1 - gamma) * (2 * (1 + gamma) - eta * lam))


# --- stationary covariance ---------------------------------------------------------------------------


@CASES
@pytest.mark.parametrize("lam", [0.2, 0.8])
def test_covariance_is_what_scipy_solves(rule, lam):
    found = stationary_covariance(rule, [lam], 1.7)[0]
    push = 1.7 * push_of(rule, lam)
    expected = solve_discrete_lyapunov(iteration_matrix(rule, lam), np.outer(push, push))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * abs(expected).max())


def test_variances_of_heavy_ball_and_nesterov_are_tight():
    eta, gamma, lam = np.ix_(np.geomspace(1e-6, 1.3, 15), np.linspace(0, 0.99, 12), [0.01, 1.0])
    h = eta * lam
    found = stationary_covariance(heavy_ball.at(eta=eta, gamma=gamma), lam, 2.0)
    assert found.shape == (15, 12, 2, 2, 2)
    np.testing.assert_allclose(found[..., 0, 0], 4 * heavy_ball_variance(eta, gamma, lam), rtol=1e-12)
    velocity = 4 * 2 * eta**2 / ((1 - gamma) * (2 * (1 + gamma) - h))
    np.testing.assert_allclose(found[..., 1, 1], velocity, rtol=1e-12)
    ahead = stationary_covariance(torch_nesterov.at(eta=eta, gamma=gamma), lam, 1.0)[..., 0, 0]
    above = eta * (1 + gamma + gamma * (1 + 2 * gamma) * h)
    below = lam * (1 - gamma + gamma * h) * (2 + 2 * gamma - (1 + 2 * gamma) * h)
    np.testing.assert_allclose(ahead, above / below, rtol=1e-12)


@pytest.mark.parametrize("h", [1e-14, 1e-10, 1e-5])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.999])
def test_slow_modes_keep_every_digit(h, gamma):
    exact = float(heavy_ball_variance(Fraction(h), Fraction(gamma), 1))
    found = stationary_covariance(heavy_ball.at(eta=h, gamma=gamma), 1.0, 1.0)[0, 0]
    assert found == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("margin", [1e-3, 1e-6, 1e-9])
def test_near_the_limit_only_the_rounded_input_is_felt(margin):
    eta = 3.8 * (1 - margin)
    exact = float(heavy_ball_variance(Fraction(eta), Fraction(0.9), 1))
    found = stationary_covariance(heavy_ball.at(eta=eta, gamma=0.9), 1.0, 1.0)[0, 0]
    assert found == pytest.approx(exact, rel=1e-14 / margin)


@pytest.mark.parametrize("rule", [heavy_ball, nesterov])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 0.99])
def test_unstable_is_inf(rule, gamma):
    rule = rule.at(eta=1.0, gamma=gamma)
    lam = stability_limit(rule) * np.array([-1, 0, 0.5, 1 - 1e-12, 1 + 1e-12, 3, 1])
    for sigma in (0.0, 1.0):
        found = stationary_covariance(rule, lam, sigma)
        assert np.isinf(found).all(axis=(-1, -2)).tolist() == [True, True, False, False, True, True, True]
        assert np.isfinite(found[2:4]).all()
    assert np.isinf(stationary_covariance(heavy_ball.at(eta=1.0, gamma=1.0), [0.1, 1.0, 3.0], 1.0)).all()


def test_unstable_cells_leave_the_others_alone_with_four_slots():
    rule = three_velocities.at(eta=1.0)
    lam = stability_limit(rule) * np.array([0.5, 1.01, 1e300])
    found = stationary_covariance(rule, lam, 1.0)
    assert np.isfinite(found[0]).all() and np.isinf(found[1:]).all()
    np.testing.assert_array_equal(found[0], stationary_covariance(rule, lam[0], 1.0))
    # Here rounding puts every eigenvalue inside the circle at the limit itself.
    rule = rule.at(a=0.792907866242523, b=0.4764478916095159, c=0.6449011878771277)
    assert stationary_covariance(rule, stability_limit(rule), 1.0)[0, 0] > 0


def test_an_output_slot_follows_the_others():
    rule = output_only.at(alpha=1.1, beta=0.5, gamma=0.3, delta=0.4)
    cov = stationary_covariance(rule, stability_limit(rule) * np.array([1e-12, 0.5, 1 - 1e-9]), 1.0)
    np.testing.assert_allclose(cov[:, 1, 1], cov[:, 2, 2], rtol=1e-6)  # xi_prev is xi one step ago
    row = np.array([1.4, -0.4])  # out = xi + delta (xi - xi_prev)
    np.testing.assert_allclose(cov[:, 0, 0], np.einsum("i,kij,j->k", row, cov[:, 1:, 1:], row), rtol=1e-6)


def test_predicted_variance_within_four_standard_errors_at_36_settings():
    z = []
    grid = itertools.product([heavy_ball, nesterov], [0.05, 0.3, 1.0], [0.0, 0.5, 0.9], [0.4, 1.2])
    for seed, (rule, eta, gamma, lam) in enumerate(grid):
        rule = rule.at(eta=eta, gamma=gamma)
        predicted = stationary_covariance(rule, lam, 0.3)[0, 0]
        settled = int(
            np.argmax(abs(mean_square_curve(rule, lam, 0.3, 0.0, 3000).square / predicted - 1) < 1e-6)
        )
        sample = noisy_run(rule, lam, 0.3, 0.0, settled + 3000, seed, 60)[settled:]
        draws = sample.size / autocorrelation_time(rule, lam, of="variance")
        assert 0 < settled < 3000 and draws > 1000
        z.append((np.mean(sample**2) - predicted) / (predicted * math.sqrt(2 / draws)))
    assert len(z) == 36 and np.abs(z).max() < 4
    assert 0.5 < np.mean(np.square(z)) < 1.7  # and the error bars are neither timid nor bold


@pytest.mark.parametrize("alpha", [0.01, 1.0])
def test_momentum_leaves_the_floor_at_equal_effective_rate(alpha):
    gamma = np.array([0, 0.5, 0.9, 0.99])
    floor = stationary_covariance(heavy_ball.at(eta=alpha * (1 - gamma), gamma=gamma), 1.0, 1.0)[:, 0, 0]
    published = {0.01: [1.0050, 1.0017, 1.0003, 1.0000], 1.0: [2.0, 1.2, 1.027, 1.0025]}[alpha]
    np.testing.assert_allclose(floor / (alpha / 2), published, atol=6e-4)


def test_the_look_ahead_is_noisier_than_nesterovs_iterate():
    rules = (rule.at(eta=1.3, gamma=0.9) for rule in (nesterov, torch_nesterov, heavy_ball))
    variances = [stationary_covariance(rule, 1.0, 1.0)[0, 0] for rule in rules]
    np.testing.assert_allclose(variances, [4.67, 33.1, 9.88], rtol=2e-3)


# --- curvature noise ---------------------------------------------------------------------------------


def test_limits_of_heavy_ball_and_nesterov_are_where_the_loop_gain_is_one():
    ratio, gamma = np.ix_([0.0, 1e-3, 0.5, 1.0, 40.0, 1e7], [0.0, 0.3, 0.9, 0.99])
    limit = mean_square_limit(heavy_ball.at(gamma=gamma), ratio)
    np.testing.assert_allclose(limit, 1 / (1 / (2 * (1 + gamma)) + ratio / (2 * (1 - gamma))), rtol=1e-12)
    h, ratio = mean_square_limit(nesterov.at(gamma=gamma), ratio[1:]), ratio[1:]
    gain = h * (1 + gamma + gamma * (1 + 2 * gamma) * h)
    gain /= (1 - gamma + gamma * h) * (2 + 2 * gamma - (1 + 2 * gamma) * h)
    np.testing.assert_allclose(ratio * gain, 1, rtol=1e-12)


@ONE_QUERY
def test_at_the_limit_the_radius_is_one(rule):
    limit = mean_square_limit(rule, 0.7)
    radius = mean_square_radius(rule, limit * np.array([0.01, 0.9, 1, 1.1]), 0.7)
    assert (radius[:2] < 1).all() and radius[2] == pytest.approx(1, abs=1e-9) and radius[3] > 1
    assert mean_square_limit(rule, 0.0) == stability_limit(rule)


def test_the_limit_counts_a_free_step_size_as_one_whatever_its_letter():
    limits = [mean_square_limit(rule, 0.5) for rule in (heavy_ball.at(gamma=0.9), BALL.at(eta=1e-3))]
    assert limits[1] == pytest.approx(1e3 * limits[0], rel=1e-12)
    assert mean_square_limit(ball_in_other_letters.at(mom=0.9), 0.5) == limits[0]


def test_radius_without_noise_is_the_squared_spectral_radius():
    rule, lam = heavy_ball.at(eta=1.0, gamma=0.8), np.linspace(0.01, 5, 40)
    # A double eigenvalue is known to the square root of rounding.
    np.testing.assert_allclose(mean_square_radius(rule, lam, 0.0), spectral_radius(rule, lam) ** 2, rtol=1e-6)


@pytest.mark.parametrize("rule", [BALL, NAG, *RULES[11:13]], ids=str)
def test_both_noises_together(rule):
    """Also that `variance_ratio` is in units of lam squared: lam is not 1 here."""
    lam, sigma, ratio = 0.4, 0.7, 0.1
    cov = stationary_covariance(rule, lam, sigma, variance_ratio=ratio)
    plain, push = iteration_matrix(rule, lam), push_of(rule, lam)
    spread = iteration_matrix(rule, lam + 1) - plain  # dM/da
    again = plain @ cov @ plain.T + ratio * lam**2 * spread @ cov @ spread.T + sigma**2 * np.outer(push, push)
    np.testing.assert_allclose(again, cov, rtol=1e-10)
    both = [np.kron(plain, plain), ratio * lam**2 * np.kron(spread, spread)]
    radius = abs(np.linalg.eigvals(sum(both))).max()
    assert mean_square_radius(rule, lam, ratio) == pytest.approx(radius, rel=1e-10)
    curve = mean_square_curve(rule, lam, sigma, 1.0, 5000, variance_ratio=ratio)
    assert curve.square[-1] == pytest.approx(cov[0, 0], rel=1e-9)


def test_both_noises_together_are_inf_beyond_the_mean_square_limit():
    rule = heavy_ball.at(eta=1.0, gamma=0.5)
    h = mean_square_limit(rule, 1.0) * np.array([1 - 1e-9, 1 + 1e-9])
    cov = stationary_covariance(rule, h, [[0.0], [1.0]], variance_ratio=1.0)
    assert np.isfinite(cov[:, 0]).all() and np.isinf(cov[:, 1]).all()


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("rule", [BALL, NAG], ids=str)
def test_sampled_coordinates_decouple(rule, c):
    """The operator of both coordinates at once has the radius of the worse one."""
    lam, d, zero = np.array([0.4, 0.02]), 2, np.zeros((2, 2))
    free = iteration_matrix(rule, 0.0)
    slope = [iteration_matrix(rule, at) - free for at in lam]
    still = np.block([[free, zero], [zero, free]])
    whole = np.zeros((16, 16))
    for picked in range(d):
        moved = np.block([[slope[0] * (picked == 0), zero], [zero, slope[1] * (picked == 1)]])
        # E over z: curvature d z^2 lam, E z^2 = 1, E z^4 = c
        whole += (np.kron(still, still) + d * (np.kron(still, moved) + np.kron(moved, still))) / d
        whole += d * d * c * np.kron(moved, moved) / d
    joint = abs(np.linalg.eigvals(whole)).max()
    assert joint == pytest.approx(mean_square_radius(rule, lam, c * d - 1).max(), rel=1e-10)


@pytest.mark.parametrize(
    ("rule", "c", "kappa", "time"),
    [
        (gradient_descent, 1, 16, 17**2 / 32),
        (gradient_descent, 3, 4096, 3 * 4097**2 / 8192),
        (heavy_ball, 1, 4096, 1057),
        (nesterov, 1, 16, 4.74),
        (nesterov, 1, 4096, 59.6),
        (nesterov, 3, 256, 227),
        (heavy_ball, 3, 64, 86.9),
        (quasi_hyperbolic, 1, 4096, 58.7),
    ],
    ids=str,
)
def test_kidambi_table(rule, c, kappa, time):
    tuned = mean_square_minimax(rule, [1, 1 / kappa], 2 * c - 1)
    assert 1 / (1 - tuned.rate) == pytest.approx(time, rel=1e-9 if rule is gradient_descent else 1.5e-3)
    assert tuned.base is rule and tuned.free == () and tuned.kind == "asymptotic"
    assert mean_square_radius(tuned, [1, 1 / kappa], 2 * c - 1).max() == tuned.rate
    run(tuned, Quadratic([1, 1 / kappa]).grad, np.ones(2), 1)


def test_a_rate_that_hangs_on_last_digits_is_not_promised():
    tuned = mean_square_minimax(accsgd, [1, 1 / 100], 5.0)  # its letters cancel where they are small
    curves = mean_square_curve(tuned, np.array([1, 1 / 100]), 0.0, 1.0, 2000, variance_ratio=5.0).square
    assert (curves[-1] / curves[1000]).max() ** 1e-3 == pytest.approx(tuned.rate, rel=1e-3)


def test_the_mean_square_minimax_finds_what_is_stable_where_no_sample_is():
    assert mean_square_minimax(qhm, [1, 1 / 100], 3e4).rate == pytest.approx(0.99999446, rel=1e-8)


def test_minimax_knows_a_step_size_by_what_it_does_and_keeps_what_is_set():
    ours, theirs = (
        mean_square_minimax(rule, [1.0, 0.1], 0.1) for rule in (heavy_ball, ball_in_other_letters)
    )
    assert theirs.rate == pytest.approx(ours.rate, rel=1e-9) and ours.setting["eta"] > 1
    held = mean_square_minimax(ball_in_other_letters.at(mom=0.5), [1.0, 0.1], 0.1)
    assert held.setting["mom"] == 0.5 and held.rate > theirs.rate
    assert mean_square_minimax(held, [1.0, 0.1], 0.1).rate == held.rate


# --- the way there -----------------------------------------------------------------------------------


def superposed(rule, lam, sigma, theta0, steps):
    """E of theta squared from the definition: the path without noise, and a pulse at every step."""
    mean = run(rule, Pulse(lam, 0), theta0, steps).theta
    pulses = [run(rule, Pulse(lam, k), 0.0, steps).theta for k in range(1, steps + 1)]
    return mean, mean**2 + sigma**2 * np.sum(np.square(pulses), axis=0)


SCHEDULED = torch_sgd.at(eta=lambda t: 0.5 / t, gamma=lambda t: 1 - 1 / (t + 1), dampening=0.5)


@pytest.mark.parametrize(
    ("rule", "steps"), [*((rule, 40) for rule in RULES), *((SCHEDULED, n) for n in (0, 1, 2, 30))], ids=str
)
def test_curve_is_the_sum_over_pulses(rule, steps):
    curve = mean_square_curve(rule, 0.8, 0.4, 1.5, steps)
    mean, square = superposed(rule, 0.8, 0.4, 1.5, steps)
    np.testing.assert_allclose(curve.mean, mean, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(curve.square, square, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(curve.variance, square - mean**2, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("eta", [0.4, lambda t: 0.4 / t, lambda t: np.array([0.4, 0.3, 0.2]) / t])
def test_curve_on_a_grid_is_the_curve_of_each_cell(eta):
    gamma, lam, sigma = np.array([0.0, 0.5, 0.9]), np.array([[0.3], [1.2]]), np.array([0.1, 0.2, 0.3])
    whole = mean_square_curve(heavy_ball.at(eta=eta, gamma=gamma), lam, sigma, 1.0, 9)
    assert whole.square.shape == (10, 2, 3)
    for i, j in np.ndindex(2, 3):
        alone = (lambda t, j=j: np.broadcast_to(eta(t), 3)[j]) if callable(eta) else eta
        single = mean_square_curve(heavy_ball.at(eta=alone, gamma=gamma[j]), lam[i, 0], sigma[j], 1.0, 9)
        np.testing.assert_allclose(whole.square[:, i, j], single.square, rtol=1e-13)
        np.testing.assert_allclose(whole.mean[:, i, j], single.mean, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rule", [BALL, NAG, RULES[6], DECAYING, RULES[11]], ids=str)
def test_curve_under_curvature_noise_is_the_sum_over_all_draws(rule):
    lam, p, steps = 0.6, 0.3, 7
    square, mean = np.zeros(steps + 1), np.zeros(steps + 1)

    class Drawn(Pulse):
        def at_step(self, t, rng):
            return lambda theta: self.lam * self.push[t - 1] / p * theta

    for drawn in itertools.product([0, 1], repeat=steps):
        weight = math.prod(p if on else 1 - p for on in drawn)
        path = run(rule, Drawn(lam, 0, drawn), 1.0, steps).theta
        square, mean = square + weight * path**2, mean + weight * path
    curve = mean_square_curve(rule, lam, 0.0, 1.0, steps, variance_ratio=(1 - p) / p)
    np.testing.assert_allclose(curve.square, square, rtol=1e-11)
    np.testing.assert_allclose(curve.mean, mean, rtol=1e-11)


def test_distill_split_of_the_expected_loss():
    curve = mean_square_curve(heavy_ball.at(eta=0.1, gamma=[0, 0.5, 0.9]), 1.0, 1.0, 1.0, 200)
    np.testing.assert_allclose(curve.variance[200] / 2, [0.026316, 0.051724, 0.25676], rtol=1e-4)
    np.testing.assert_allclose(curve.mean[50] ** 2 / 2, [1.328e-5, 2.03e-15, 2.22e-3], rtol=2e-3)


@pytest.mark.parametrize("rule", [*RULES, SCHEDULED], ids=str)
def test_a_long_noisy_run_in_blocks_is_the_run_step_by_step(rule, monkeypatch):
    steps, lam = 2**14 + 7, np.array([0.01, 0.7])  # a last block that is not whole
    drawn = np.random.default_rng(3).standard_normal((steps, 2))
    cut = noisy_run(rule, lam, 0.3, [1.5, -1.0], steps, drawn, 2)
    monkeypatch.setattr("momentum_lib.noise.mean_square.LONG", steps + 1)
    whole = noisy_run(rule, lam, 0.3, [1.5, -1.0], steps, drawn, 2)
    assert np.abs(cut - whole).max() <= 1e-12 * np.abs(whole).max()
    assert (cut == whole).all() == bool(rule.schedules or rule.counts)  # it was cut indeed


@pytest.mark.parametrize(
    ("eta", "start", "steps"), [(5.0, 1.0, 2000), (5.0, 1e-100, 2000), (1e6, 1e-100, 300)]
)
def test_a_curve_is_finite_as_long_as_the_run_is(eta, start, steps):
    rule = heavy_ball.at(eta=eta, gamma=0.5)  # the powers of its matrix overflow before a small start does
    with np.errstate(over="ignore"):
        path = run(rule, lambda x: x, start, steps).theta
        lasts = np.isfinite(path**2)
    curve = mean_square_curve(rule, 1.0, 0.0, start, steps)
    assert 1 < lasts.sum() < steps and (np.isfinite(curve.square) == lasts).all()
    assert np.isnan(curve.mean[~lasts]).all() and np.isinf(curve.square[~lasts]).all()
    np.testing.assert_allclose(curve.mean[lasts], path[lasts], rtol=1e-11)


def test_cells_that_diverge_leave_the_others_of_a_map_theirs():
    eta = np.r_[np.full(300, 0.4), 1e9, 0.3]  # more cells than go at once
    whole = mean_square_curve(heavy_ball.at(eta=eta, gamma=0.5), 1.0, 0.1, 1.0, 70)
    for cell, lasts in {0: 71, 299: 71, 300: 18, 301: 71}.items():
        alone = mean_square_curve(heavy_ball.at(eta=eta[cell], gamma=0.5), 1.0, 0.1, 1.0, 70)
        assert np.isfinite(alone.square).sum() == lasts
        for curve, one in zip(whole, alone, strict=True):
            np.testing.assert_allclose(curve[:, cell], one, rtol=1e-12, atol=1e-15)


def test_a_noisy_run_that_diverges_leaves_the_finite_numbers():
    assert not np.isfinite(noisy_run(heavy_ball.at(eta=5.0, gamma=0.5), 1.0, 1.0, 1.0, 2000, 0, 3)[-1]).any()


@pytest.mark.parametrize("rule", [*RULES, SCHEDULED], ids=str)
def test_noisy_runs_are_what_run_gives_from_a_seed_and_from_a_generator(rule):
    stepped = run(rule, Noisy(Quadratic([0.7]), 0.3), np.full((3, 1), 1.5), 50, rng=7).theta[..., 0]
    np.testing.assert_array_equal(noisy_run(rule, 0.7, 0.3, 1.5, 50, 7, 3), stepped)
    generator = np.random.default_rng(7)
    halves = [noisy_run(rule, 0.7, 0.3, 1.5, n, generator, 3) for n in (20, 0)]
    np.testing.assert_array_equal(halves[0], stepped[:21])
    assert halves[1].tolist() == [[1.5] * 3]


# --- filters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES[:6] + RULES[7:13], ids=str)
@pytest.mark.parametrize("lam", [0.0, 0.7])
def test_filter_impulse_and_frequency_agree_with_runs(rule, lam):
    omega = np.linspace(0.3, np.pi, 7)
    for slot in rule.slots:
        b, a = filter_coefficients(rule, slot, lam=lam)
        if not rule.has_first_step:
            kernel = run(rule, Pulse(lam, 1), 0.0, 60).slots[slot]
            found = impulse_response(rule, 60, slot, lam=lam)
            np.testing.assert_allclose(found, kernel, atol=1e-11 * abs(kernel).max())
        response = frequency_response(rule, omega, slot, lam=lam)
        np.testing.assert_allclose(response, freqz(b, a, worN=omega)[1], rtol=1e-9, atol=1e-12)


def test_a_wave_comes_out_as_the_frequency_response_says():
    wave = np.exp(0.7j * np.arange(4000))
    out = lfilter(*filter_coefficients(BALL, lam=0.5), wave)
    assert out[-1] / wave[-1] == pytest.approx(complex(frequency_response(BALL, 0.7, lam=0.5)), rel=1e-9)


@pytest.mark.parametrize("slot", ["theta", "v"])
def test_filter_is_the_symbolic_transfer_function(slot):
    import sympy

    from momentum_lib.symbolic import transfer_function

    value = complex(
        transfer_function(nesterov, slot)
        .subs({"eta": 0.3, "gamma": 0.8})
        .subs(sympy.Symbol("z"), sympy.exp(0.7j))
    )
    found = frequency_response(nesterov.at(eta=0.3, gamma=0.8), 0.7, slot)
    assert found == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("gamma", "ratio"), [(0.5, 3), (0.9, 19), (0.99, 199)])
def test_velocity_forgets_theta_and_its_gain_of_slow_over_fast(gamma, ratio):
    rule = heavy_ball.at(eta=0.2, gamma=gamma)
    np.testing.assert_allclose(filter_coefficients(rule, "v"), [[0, 0.2], [1, -gamma]], rtol=1e-14)
    delay, _ = filter_coefficients(polyak_two_step.at(eta=0.3, gamma=0.3), "theta_prev")
    assert delay[:2].tolist() == [0, 0], "not what ss2tf leaves of a difference"
    slow, fast = abs(frequency_response(rule, [0, np.pi], "v"))
    assert slow / fast == pytest.approx(ratio, rel=1e-11) == (1 + gamma) / (1 - gamma)


def test_a_constant_gradient_moves_theta_without_end():
    assert np.isinf(frequency_response(BALL, 0.0))
    # With the loop closed it moves it to where the slope makes up for it.
    for lam in (1.0, 1e-5):
        assert frequency_response(BALL, 0.0, lam=lam) == pytest.approx(-1 / lam, rel=1e-8)


@pytest.mark.parametrize(
    ("gamma", "relative", "own", "cosine"),
    [(0.0, 1, 1, 0.141), (0.5, 0.577, 1.15, 0.240), (0.9, 0.229, 2.29, 0.529), (0.99, 0.0709, 7.09, 0.896)],
)
def test_velocity_noise_grows_while_its_direction_improves(gamma, relative, own, cosine):
    seen = smoothing(heavy_ball.at(eta=1.0, gamma=gamma), "v")
    assert seen.relative == pytest.approx(math.sqrt((1 - gamma) / (1 + gamma)), rel=1e-12)
    assert seen.relative == pytest.approx(relative, abs=5e-4)
    assert math.sqrt(seen.noise) == pytest.approx(1 / math.sqrt(1 - gamma**2), rel=1e-12)
    assert math.sqrt(seen.noise) == pytest.approx(own, abs=6e-3)
    assert seen.cosine(50) == pytest.approx(cosine, abs=6e-4)


# --- autocorrelation ---------------------------------------------------------------------------------


@CASES
def test_autocorrelation_time_is_the_sum_of_correlations(rule):
    lam = 0.8
    matrix, cov = iteration_matrix(rule, lam), stationary_covariance(rule, lam, 1.0)
    slow = spectral_radius(rule, lam)
    column, correlations = cov[:, 0] / cov[0, 0], []
    for _ in range(int(40 / -math.log(slow)) if slow > 0 else 2):
        correlations.append(column[0])
        column = matrix @ column
    correlations = np.array(correlations)
    assert autocorrelation_time(rule, lam) == pytest.approx(2 * correlations.sum() - 1, rel=1e-8)
    squares = 2 * (correlations**2).sum() - 1
    assert autocorrelation_time(rule, lam, of="variance") == pytest.approx(squares, rel=1e-8)


def test_heavy_ball_autocorrelation_time_is_tight():
    gamma, h = np.ix_(np.linspace(0, 0.99, 9), np.geomspace(1e-6, 1.9, 9))
    found = autocorrelation_time(heavy_ball.at(eta=1.0, gamma=gamma), h)
    np.testing.assert_allclose(found, (1 - gamma) * (2 * (1 + gamma) - h) / (h * (1 + gamma)), rtol=1e-9)
    assert np.isinf(autocorrelation_time(heavy_ball.at(eta=1.0, gamma=0.5), [0.0, 4.0])).all()


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stationary_covariance(BALL, 1.0, -1.0), "sigma is -1"),
        (lambda: stationary_covariance(BALL, 1.0, 1.0, variance_ratio=-2.0), "variance_ratio is -2"),
        (lambda: stationary_covariance(BALL, np.nan, 1.0), "lam contains nan"),
        (lambda: stationary_covariance(BALL, [1.0, 2.0], np.ones(3)), "does not broadcast"),
        (lambda: stationary_covariance(BALL.at(eta=[0.1, 0.2]), np.ones(3), 1.0), "does not broadcast"),
        (lambda: stationary_covariance(BALL, "steep", 1.0), "lam is 'steep'"),
        (lambda: stationary_covariance(heavy_ball.at(eta=0.1), 1.0, 1.0), "leaves gamma open"),
        (lambda: stationary_covariance("heavy_ball", 1.0, 1.0), "a name, not a rule"),
        (lambda: stationary_covariance(BALL.at(eta=lambda t: t), 1.0, 1.0), "schedule"),
        (lambda: stationary_covariance(BALL.at(gamma=0.5j), 1.0, 1.0), "complex"),
        (lambda: mean_square_radius(RULES[-1], 1.0, 1.0), "several points a step"),
        (lambda: mean_square_limit(BALL, -1.0), "variance_ratio is -1"),
        (lambda: mean_square_limit(qhm.at(beta=0.5), 1.0), "leaves nu open"),
        (lambda: mean_square_limit("heavy_ball", 1.0), "a name, not a rule"),
        (lambda: mean_square_minimax(heavy_ball, [1.0, 0.0], 1.0), "above 0"),
        (lambda: mean_square_minimax(heavy_ball.at(gamma=[0.1, 0.2]), [1.0], 1.0), "gamma at an array"),
        (lambda: mean_square_minimax("heavy_ball", [1.0], 1.0), "a name, not a rule"),
        (lambda: mean_square_curve(BALL, 1.0, 1.0, np.inf, 5), "theta0 contains inf"),
        (lambda: mean_square_curve(BALL, 1.0, 1.0, 1.0, -5), "steps is -5"),
        (lambda: mean_square_curve(BALL, 1.0, 1.0, 1.0, 5.0), "steps is 5.0"),
        (lambda: mean_square_curve(RULES[6].at(t=3), 1.0, 1.0, 1.0, 5), "leave t out"),
        (lambda: filter_coefficients(BALL, "w"), "theta, v"),
        (lambda: filter_coefficients(BALL.at(eta=[0.1, 0.2])), "one number"),
        (lambda: impulse_response(BALL, 3.0), "steps is 3.0"),
        (lambda: smoothing(BALL, "theta"), "adds up all gradients"),
        (lambda: noisy_run(BALL, 1.0, 1.0, 1.0, 5, None), "needs rng"),
        (lambda: noisy_run(BALL, 1.0, -1.0, 1.0, 5, 0), "sigma is -1"),
        (lambda: noisy_run(BALL, 1.0, 1.0, [1.0, 2.0], 5, 0), "one number"),
        (lambda: noisy_run(BALL, 1.0, 1.0, 1.0, 5, np.zeros((5, 2))), "what was drawn has shape"),
        (lambda: noisy_run(BALL, 1.0, 1.0, 1.0, 5, 0, 0), "size is 0"),
        (lambda: autocorrelation_time(BALL, 1.0, of="median"), "of is 'median'"),
    ],
)
def test_wrong_use_is_refused_with_a_sentence(call, says):
    with pytest.raises((ValueError, RuleError)) as refused:
        call()
    message = str(refused.value)
    assert says in message and message.endswith(".") and "\n" not in message


def test_a_rule_that_is_not_linear_is_refused_but_runs():
    cubed = Rule(lambda theta, grad, *, eta: (theta - eta * grad(theta) ** 3,)).at(eta=0.1)
    with pytest.raises(NotLinear):
        stationary_covariance(cubed, 1.0, 1.0)
    assert noisy_run(cubed, 1.0, 0.1, 1.0, 5, 0).shape == (6, 1)
