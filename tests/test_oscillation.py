"""Measures on trajectories made by hand, and the damping dictionary against runs."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from momentum_lib.definition import RULES, Rule, RuleError
from momentum_lib.oscillation import (
    count_reversals,
    count_rises,
    count_sign_changes,
    critical_gamma,
    damping,
    measure_half_life,
    measure_overshoot,
    measure_path_ratio,
)
from momentum_lib.rules import (
    accsgd,
    bias_corrected,
    ema,
    gradient_descent,
    heavy_ball,
    nesterov,
    primal_average,
    qhm,
    torch_sgd,
)
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix, regimes, settling_time, spectral_radius

TWO_SLOTS = ["heavy_ball", "nesterov", "torch_sgd", "torch_nesterov", "keras_nesterov", "polyak_two_step"]


@functools.cache
def settings_of(name, count=2000):
    """Stable (gamma, eta lam), dense where damping changes, with runs that are long enough."""
    rng = np.random.default_rng(6)
    gamma = rng.uniform(0.1, 0.98, count)
    limit = (2 + 2 * gamma) / (1 + 2 * gamma) if "nesterov" in name else 2 * (1 + gamma)
    h = np.maximum(rng.uniform(0, 1, count) ** 3, 1e-3) * limit * 0.99
    rule = RULES[name].at(eta=np.ones(count), gamma=gamma)
    theta = run(rule, lambda x: h * x, np.ones(()), 300, record=("theta",)).theta
    return rule, h, theta, damping(rule, h)


# --- measures ----------------------------------------------------------------------------------------


def test_sign_changes_skip_zeros_and_what_diverged():
    theta = np.array([[1, 1, 0, 1], [0, -1, 1, np.inf], [1, 1, 0, np.nan], [-1, -1, -1, np.nan]])
    assert count_sign_changes(theta).tolist() == [1, 3, 1, 0]


def test_rises_are_counted_strictly():
    assert count_rises([[1, 1], [1, 2], [2, 1], [1, 3]]).tolist() == [1, 2]


def test_a_straight_run_has_path_ratio_one():
    assert measure_path_ratio(np.linspace(0, 1, 9)[:, None] * [3.0, -4.0]) == pytest.approx(1)
    assert measure_path_ratio([[0.0], [1.0], [-1.0], [1.0]]) == 5
    assert measure_path_ratio([[0.0], [1.0], [0.0]]) == np.inf
    assert measure_path_ratio([[2.0], [2.0]]) == 1


def test_a_reversal_is_more_than_a_right_angle():
    square = np.array([[0, 0], [1, 0], [1, 1], [2, 1], [1, 1], [1, 1]])
    assert count_reversals(square) == 1
    assert count_reversals([[0.0], [1e-200], [0.0], [2e-200]]) == 2  # tiny steps still have a direction


def test_overshoot_is_told_first_and_largest():
    theta = np.array([[2, -2, 1, 0], [-1, 1.5, 0.5, 1], [1, 1, 0.1, -1], [-4, -3, 0, 1]])
    first, largest = measure_overshoot(theta)
    assert first[:3].tolist() == [0.5, 0.75, 0] and largest[:3].tolist() == [2, 1.5, 0]
    assert np.isnan([first[3], largest[3]]).all()


def test_half_life_of_powers():
    t, lives = np.arange(200.0)[:, None, None], np.array([2.0, 10.0, 40.0])
    decay = 0.5 ** (t / lives[:, None]) * [3.0, 4.0]
    assert measure_half_life(decay) == pytest.approx(lives)
    assert measure_half_life(1 / decay[:, 0]) == np.inf
    assert measure_half_life(np.where(t < 9, 1.0, 0.0)[:, 0]) == 0


MEASURES = (measure_path_ratio, count_reversals, measure_half_life, count_sign_changes, measure_overshoot)


@pytest.mark.parametrize("measure", MEASURES)
def test_leading_axes_are_runs_and_a_diverged_one_gives_no_warning(measure):
    theta = np.random.default_rng(0).standard_normal((30, 4, 3, 2))
    whole, one = measure(theta), measure(theta[:, 2, 1])
    for all_, alone in zip(whole, one, strict=True) if isinstance(one, tuple) else [(whole, one)]:
        assert all_[2, 1] == pytest.approx(alone)
    measure(run(heavy_ball.at(eta=5.0, gamma=0.9), lambda x: x, [1.0, 2.0], 4000).theta)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: count_sign_changes(1.0), "time as its first axis"),
        (lambda: measure_path_ratio([1.0, 2.0]), r"pass theta\[:, None\]"),
        (lambda: measure_half_life(np.ones((4, 1))), "3 steps"),
    ],
)
def test_no_axis_of_time_or_coordinates_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_the_measures_disagree():
    """The ravine of the text: curvatures .01 and 1, a tenth of the steep one's learning rate."""
    lam, seen = np.array([0.01, 1.0]), {}
    for gamma in (0.0, 0.9):
        theta = run(heavy_ball.at(eta=0.1, gamma=gamma), lambda x: lam * x, [1.0, 1.0], 50).theta
        rises = count_rises((lam * theta**2).sum(axis=1) / 2)
        seen[gamma] = (count_sign_changes(theta)[1], rises, measure_path_ratio(theta))
    assert seen[0.0] == (0, 0, pytest.approx(1.01, abs=0.02))
    assert seen[0.9] == (5, 22, pytest.approx(3.35, abs=0.02))


# --- the dictionary against runs ---------------------------------------------------------------------


@pytest.mark.parametrize("name", TWO_SLOTS)
class TestDictionary:
    def test_overshoot_is_that_of_the_run(self, name):
        _, _, theta, found = settings_of(name)
        seen = (found.period < 250) | np.isinf(found.period)  # the run is longer than the first swing
        assert seen.mean() > 0.95
        for predicted, measured in zip(
            (found.overshoot, found.largest_overshoot), measure_overshoot(theta), strict=True
        ):
            assert predicted[seen] == pytest.approx(measured[seen], abs=1e-10)
        grows = (found.largest_overshoot > found.overshoot + 1e-3).sum()
        assert grows == 0 if name in ("torch_nesterov", "keras_nesterov") else grows > 50  # the look-ahead

    def test_sign_changes_are_those_of_the_run(self, name):
        _, _, theta, found = settings_of(name)
        alive = np.abs(theta[-1]) > 1e-250  # a run that underflowed has stopped flipping
        assert alive.mean() > 0.8
        for steps in (1, 7, 300):
            assert (found.sign_changes(steps) == count_sign_changes(theta[: steps + 1]))[alive].all()

    def test_the_oscillator_is_the_one_sampled(self, name):
        """s^2 + 2 zeta omega s + omega^2 = 0 for s = log z: the equation that defines zeta and omega."""
        rule, h, _, found = settings_of(name)
        words, zeta, omega = regimes(rule, h), found.ratio, found.natural_frequency
        z = np.linalg.eigvals(iteration_matrix(rule, h)).astype(complex)
        swings, creeps, flips = (words == w for w in ("oscillating", "monotone", "alternating"))
        assert (found.roots[swings] == "complex").all() and (found.roots[creeps | flips] == "real").all()
        both = (swings | creeps) & (z.real.min(axis=1) > 1e-3)
        s = np.log(z[both])
        residual = s**2 + 2 * (zeta * omega)[both, None] * s + (omega**2)[both, None]
        assert np.abs(residual).max() < 1e-6
        assert (zeta[swings] < 1).all() and (zeta[creeps] > 1).all()
        damped = (omega * np.sqrt(np.maximum(1 - zeta**2, 0)))[swings | flips]
        assert found.damped_frequency[swings | flips] == pytest.approx(damped, abs=1e-9)
        assert (found.damped_frequency[flips] == math.pi).all()

    def test_a_complex_pair_moves_between_its_envelopes(self, name):
        rule, h, theta, found = settings_of(name)
        t, pair = np.arange(301)[:, None], found.roots == "complex"
        envelope = spectral_radius(rule, h)[pair] ** t / np.cos(found.lag[pair])
        motion = envelope * np.cos(found.damped_frequency[pair] * t - found.lag[pair])
        assert np.abs(motion - theta[:, pair]).max() < 1e-8

    def test_the_envelope_halves_in_a_half_life(self, name):
        _, _, theta, found = settings_of(name)
        fast = (found.half_life < 20) & (found.half_life > 1)
        fast &= (found.period < 20) | np.isinf(found.period)
        fast &= np.abs(found.ratio - 1) > 0.2  # a factor t near critical
        fast &= np.abs(theta[-1]) > 1e-250
        assert fast.sum() > 200
        assert measure_half_life(theta[..., None])[fast] == pytest.approx(found.half_life[fast], rel=0.08)

    def test_critical_gamma_is_where_the_regime_changes(self, name):
        rule, h = RULES[name], np.linspace(0.01, 0.95, 20)
        gamma = critical_gamma(rule, h)
        assert spectral_radius(rule.at(gamma=gamma), h) == pytest.approx(1 - np.sqrt(h), abs=1e-7)
        assert (regimes(rule.at(gamma=gamma * 1.001), h) == "oscillating").all()
        assert (regimes(rule.at(gamma=gamma * 0.999), h) == "monotone").all()
        for other in (gamma * 0.98, gamma * 1.02):
            assert (spectral_radius(rule.at(gamma=other), h) > 1 - np.sqrt(h)).all()


H = np.array([0.0025, 0.25, 1, 2.25, 4, 9, 0])
BALL, LOOK_AHEAD = [0.9025, 0.25, 0, 0.25, *[np.nan] * 3], [0.95 / 1.05, 1 / 3, 0, *[np.nan] * 4]


def heavy_ball_of_names(x, y, grad, *, size, mu):
    y = mu * y + size * grad(x)
    return x - y, y


@pytest.mark.parametrize(
    ("rule", "lam", "gamma"),
    [
        (heavy_ball, H, BALL),
        (heavy_ball.at(eta=2), H / 2, BALL),
        (Rule(heavy_ball_of_names), H, BALL),
        (bias_corrected, H, BALL),
        (nesterov, H, LOOK_AHEAD),
        (Rule(nesterov.step, name="heavy_ball"), H, LOOK_AHEAD),  # by what it does, not by its name
        (ema, H[:2], (1 - H[:2]) ** 2 / (1 + H[:2]) ** 2),
        (primal_average, H[:3], 4 * H[:3] / (1 + H[:3]) ** 2),
        (qhm.at(nu=1.0), H[:2], (1 - H[:2]) ** 2 / (1 + H[:2]) ** 2),
        (
            heavy_ball.at(eta=[[1.0], [2.0]]),
            [0.25, 0.01],
            [[0.25, 0.81], [1.5 - math.sqrt(2), (1 - 0.02**0.5) ** 2]],
        ),
    ],
)
def test_critical_gamma_in_closed_form(rule, lam, gamma):
    assert critical_gamma(rule, lam) == pytest.approx(np.array(gamma), abs=1e-12, nan_ok=True)


def test_the_critically_damped_curve():
    """theta_t = sqrt(gamma)^t (1 + t (1 - sqrt(gamma))) from rest: no swing, and none faster without one."""
    for h in (0.01, 0.1, 0.5):
        gamma = critical_gamma(heavy_ball, h)
        t, root = np.arange(60), math.sqrt(gamma)
        theta = run(heavy_ball.at(eta=1.0, gamma=gamma), lambda x, h=h: h * x, 1.0, 59).theta
        assert theta == pytest.approx(root**t * (1 + t * (1 - root)), rel=1e-9)
        found = damping(heavy_ball.at(gamma=gamma), h)
        assert found.roots == "critical" and found.ratio == pytest.approx(1, abs=1e-6)
        assert found.overshoot == found.largest_overshoot == 0
        assert damping(heavy_ball.at(gamma=gamma + 0.05), h).overshoot > 0


def test_swings_just_above_the_critical_curvature_are_seen():
    """cos phi = (1 + gamma - h)/(2 sqrt(gamma)): phi^2 is the distance from the edge over sqrt(gamma)."""
    above = np.array([1e-4, 1e-6, 1e-8]) * 0.01
    phase = damping(heavy_ball.at(gamma=0.81), 0.01 + above).damped_frequency
    assert phase**2 == pytest.approx(above / 0.9, rel=1e-5)


def test_overshoots_of_the_text():
    h, gamma = [0.01, 0.01, 0.01, 0.1, 1.5, 0.1, 3.74], [0.9, 0.99, 0.999, 0.9, 0.99, 0.99, 0.89]
    found = damping(heavy_ball.at(gamma=gamma), h)
    assert found.overshoot.round(3).tolist() == [0.153, 0.855, 0.986, 0.604, 1.235, 0.957, 2.74]
    assert found.largest_overshoot.round(3).tolist()[-2:] == [0.957, 6.663]  # iterates beat against the swing
    assert damping(nesterov.at(gamma=0.99), 0.1).overshoot == pytest.approx(0.575, abs=5e-4)


def test_periods_of_the_text():
    assert damping(heavy_ball.at(gamma=0.9), [0.1, 1.9]).period / 2 == pytest.approx([9.76, 2], abs=5e-3)


def test_an_undamped_ball_swings_for_ever():
    still, grows = damping(heavy_ball.at(gamma=1), 0.1), damping(heavy_ball.at(gamma=1.01), 0.1)
    assert still.ratio == pytest.approx(0, abs=1e-12)
    assert grows.half_life == grows.largest_overshoot == np.inf and grows.ratio < 0
    parts = damping(heavy_ball.at(gamma=1.5), 0.01)  # two real roots above 1, of product gamma
    assert 2 * parts.ratio * parts.natural_frequency == pytest.approx(-math.log(1.5))


def test_gradient_descent_has_no_inertia():
    found = damping(gradient_descent, [0.5, 1.0, 1.5])
    assert found.ratio[:2].tolist() == [np.inf, np.inf] and found.period.tolist() == [np.inf, np.inf, 2]
    assert found.overshoot.tolist() == found.largest_overshoot.tolist() == [0, 0, 0.5]
    assert found.sign_changes(50).tolist() == [0, 0, 50]


@pytest.mark.parametrize("h", [0.01, 0.3])
def test_settling_brings_its_own_count_of_swings(h):
    ball = heavy_ball.at(eta=1, gamma=0.95)
    steps = settling_time(ball, [h], [1.0], 1e-6, 2000)
    theta = run(ball, lambda x: h * x, 1.0, int(steps)).theta
    assert damping(ball, h).sign_changes(steps) == count_sign_changes(theta)


@settings(max_examples=60, deadline=None)
@given(gamma=st.floats(0, 0.999), share=st.floats(1e-6, 0.999))
def test_nothing_swings_below_the_critical_curvature(gamma, share):
    low, high = (1 - math.sqrt(gamma)) ** 2, (1 + math.sqrt(gamma)) ** 2
    found = damping(heavy_ball.at(gamma=gamma), [low * share, low + (high - low) * share])
    below, inside = found.damped_frequency
    assert below == 0 and found.sign_changes(np.inf)[0] == 0
    assert gamma < 1e-9 or 0 < inside < math.pi


def test_broadcasting_is_looping():
    gamma, h = np.array([0.1, 0.5, 0.9])[:, None], np.array([0.01, 0.5, 1.2, 3.0])

    whole = list(vars(damping(heavy_ball.at(gamma=gamma), h)).values())
    for i, j in np.ndindex(3, 4):
        alone = vars(damping(heavy_ball.at(gamma=gamma[i, 0]), h[j])).values()
        for grid, one in zip(whole, alone, strict=True):
            same = (
                grid[i, j] == one if isinstance(one, str) else grid[i, j] == pytest.approx(one, nan_ok=True)
            )
            assert same and np.ndim(one) == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: damping("heavy_ball", 0.1), "is a name, not a rule"),
        (lambda: damping(RULES["aggregated"], 0.1), "4 slots"),
        (lambda: damping(heavy_ball.at(eta=1), 0.1), "gamma"),
        (lambda: damping(heavy_ball.at(gamma=0.9), 0.1).sign_changes(-1), "steps=-1"),
        (lambda: critical_gamma(accsgd, 0.1), "momentum letters kappa, xi"),
        (lambda: critical_gamma(gradient_descent, 0.1), "momentum letters none"),
        (lambda: critical_gamma(heavy_ball.at(gamma=0.5), 0.1), "left open"),
        (lambda: critical_gamma(qhm, 0.1), "leaves nu open"),
    ],
)
def test_what_the_dictionary_does_not_hold_is_refused(call, says):
    with pytest.raises((RuleError, ValueError), match=says):
        call()


@pytest.mark.parametrize(
    "rule",
    [
        bias_corrected.at(gamma=0.9),
        torch_sgd.at(gamma=0.9, dampening=0.5),
        qhm.at(alpha=1.9, beta=0.9, nu=0.02),
    ],
)
def test_a_start_that_leaves_the_answer_open_gives_nan(rule):
    """Steps that are not alike; a first step of its own; two positive roots, and one late crossing."""
    found = damping(rule, 0.5)
    assert np.isnan([found.overshoot, found.largest_overshoot, found.sign_changes(10)]).all() and np.isfinite(
        found.half_life
    )


def test_a_root_that_is_never_excited_makes_no_overshoot():
    assert damping(qhm.at(alpha=1.0, beta=0.9, nu=0.0), 0.5).largest_overshoot == 0
    late = qhm.at(alpha=1.9, beta=0.9, nu=0.02)
    assert count_sign_changes(run(late, lambda x: 0.5 * x, 1.0, 10).theta) == 1


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("lam", [0.0, 1e-18, 1e-14, 1e-8])
def test_a_slow_mode_keeps_all_its_digits(gamma, lam):
    import mpmath

    found = damping(heavy_ball.at(gamma=gamma), lam)
    with mpmath.workdps(60):
        half = (1 + mpmath.mpf(gamma) - mpmath.mpf(lam)) / 2
        root = mpmath.sqrt(half**2 - mpmath.mpf(gamma))
        slow, fast = mpmath.log(half + root), mpmath.log(half - root)
        life = -mpmath.log(2) / slow if lam else math.inf
        ratio = -(slow + fast) / (2 * mpmath.sqrt(slow * fast)) if lam else math.inf
        assert found.half_life == pytest.approx(float(life), rel=1e-12)
        assert found.ratio == pytest.approx(float(ratio), rel=1e-11)
