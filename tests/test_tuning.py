"""Tunings keep what their theorems promise, and the numeric search finds them again."""

import math

import numpy as np
import pytest

from momentum_lib import (
    RULES,
    NotLinear,
    Quadratic,
    best_eta,
    closed_form,
    finite_bound,
    heavy_ball,
    lower_bound,
    lower_rate,
    minimax,
    nesterov,
    rule,
    run,
    settling_time,
    spectral_radius,
    torch_sgd,
    tune,
    worst_rate,
)
from momentum_lib.definition import Rule
from momentum_lib.tuning import _CARRIED, _THEOREMS

KAPPAS = (1.5, 10, 100, 1000, 1e4)
TUNINGS = [("gradient_descent", "optimal"), ("gradient_descent", "standard")] + [
    (name, which)
    for name in ("heavy_ball", "polyak_two_step", "torch_sgd", "keras_sgd", "ema", "primal_average", "qhm")
    for which in ("polyak", "ghadimi")
]
TUNINGS += [
    (name, which)
    for name in ("nesterov", "torch_nesterov", "keras_nesterov", "mass", "qhm")
    for which in ("optimal", "standard")
]
TUNINGS += [("bias_corrected", "polyak"), ("triple_momentum", "fastest"), ("robust_momentum", "robust")]
TUNINGS += [("chebyshev", "chebyshev")]


@pytest.fixture(scope="module")
def eigenvalues():
    return np.unique(np.concatenate([np.linspace(0.01, 1, 301), np.geomspace(0.01, 1, 301)]))


def test_every_tuning_there_is_gets_tested():
    there = {(name, law.which) for name, laws in _THEOREMS.items() for law in laws}
    there |= {
        (name, which) for name, carried in _CARRIED.items() for names in carried.values() for which in names
    }
    assert there == set(TUNINGS)


@pytest.mark.parametrize("kappa", KAPPAS)
@pytest.mark.parametrize(("name", "which"), TUNINGS)
def test_the_rate_is_the_worst_radius(name, which, kappa):
    tuning = tune(name, 3 / kappa, 3, which)
    hyper = {key: value for key, value in tuning.hyper.items() if key not in ("mu", "L")}
    worst = worst_rate(RULES[name], 3 / kappa, 3, **hyper)
    if which == "ghadimi":  # upper: f falls by the rate a step, so the distance by its root
        assert worst <= math.sqrt(tuning.rate) + 1e-12
    else:  # tight; a double root is known to the root of machine precision
        assert worst == pytest.approx(tuning.rate, abs=1e-7)


@pytest.mark.parametrize("name", sorted({name for name, _ in TUNINGS}))
def test_tuned_once_by_name_once_by_rule(name):
    tuning = tune(name, 0.1, 2)
    assert tune(RULES[name], 0.1, 2) == tuning
    assert tuning.rule == name and tuning.kind in ("tight", "upper", "asymptotic")
    assert set(tuning.hyper) <= set(RULES[name].hyper)
    assert {n for n in RULES[name].hyper if n not in RULES[name].defaults} - {"t"} == set(tuning.hyper)


def test_one_curvature_alone_is_met_in_one_step():
    for name, which in TUNINGS:
        rate = tune(name, 2, 2, which).rate
        assert rate == (0.5 if which == "ghadimi" else 0)


def test_carried_tunings_take_the_steps_of_their_source():
    problem = Quadratic(np.geomspace(0.02, 1, 7))

    def iterates(name, which, maps_to):
        return closed_form(RULES[maps_to], problem, 1.0, 40, **tune(name, 0.02, 1, which).hyper)

    met = 0
    for name, carried in _CARRIED.items():
        for source, whiches in carried.items():
            for which in whiches:
                reports = source
                if source == "nesterov" and name != "mass":  # reports the look-ahead, as PyTorch does
                    reports = "torch_nesterov"
                gap = np.abs(iterates(name, which, name) - iterates(source, which, reports)).max()
                if name == "bias_corrected":  # the same in the limit only
                    assert gap > 0.1
                else:
                    assert gap < 1e-12, name
                met += 1
    assert met == 21


def test_polyak_and_lessard_print_these_numbers():
    polyak, best = tune("heavy_ball", 0.01, 1), tune("nesterov", 0.01, 1)
    assert (round(polyak.hyper["eta"], 6), round(polyak.hyper["gamma"], 6)) == (3.305785, 0.669421)
    assert (round(best.hyper["eta"], 6), round(best.hyper["gamma"], 6)) == (1.328904, 0.793275)
    assert round(best.rate, 6) == 0.884722
    assert tune("nesterov", 0.01, 1, "standard").rate == pytest.approx(0.9)


def test_robust_momentum_runs_from_triple_momentum_to_gradient_descents_rate():
    fast, slow = tune("robust_momentum", 0.01, 1), tune("robust_momentum", 0.01, 1, rho=0.99)
    triple = tune("triple_momentum", 0.01, 1)
    for name in ("alpha", "beta", "gamma"):
        assert fast.hyper[name] == pytest.approx(triple.hyper[name])
    assert slow.rate == tune("gradient_descent", 0.01, 1, "standard").rate
    assert worst_rate(RULES["robust_momentum"], 0.01, 1, **slow.hyper) == pytest.approx(0.99)


def test_the_theorem_of_ghadimi_holds_along_a_run():  # upper
    problem = Quadratic(np.geomspace(0.05, 1, 9))
    for eta in (0.2, 0.5, 1.0):
        tuning = tune("heavy_ball", 0.05, 1, "ghadimi", eta=eta)
        values = problem.value(run(heavy_ball, problem.grad, np.ones(9), 100, **tuning.hyper).theta)
        assert (values <= values[0] * tuning.rate ** np.arange(101) * (1 + 1e-12)).all()


# --- exact bounds in t steps -------------------------------------------------------------------------

FINITE = [
    *[
        (name, which, "rest")
        for name in ("gradient_descent", "nesterov", "mass")
        for which in ("optimal", "standard")
    ],
    *[
        (name, "polyak", "rest")
        for name in ("heavy_ball", "polyak_two_step", "torch_sgd", "keras_sgd", "ema", "primal_average")
    ],
    *[(name, "polyak", "polyak") for name in ("heavy_ball", "polyak_two_step", "keras_sgd")],
    ("triple_momentum", "fastest", "rest"),
    ("chebyshev", "chebyshev", "rest"),
]


@pytest.mark.parametrize("kappa", [10, 100, 1000])
@pytest.mark.parametrize(("name", "which", "start"), FINITE)
def test_the_finite_bound_is_met_and_never_passed(name, which, start, kappa):  # tight
    t = np.arange(61)
    hyper = dict(tune(name, 1 / kappa, 1, which).hyper)
    if start == "polyak":
        eta, gamma = hyper["eta"], hyper["gamma"]
        hyper["eta"] = lambda t: eta / (1 + gamma) if t == 1 else eta
    lam = np.unique(np.concatenate([np.geomspace(1 / kappa, 1, 200), np.linspace(1 / kappa, 1, 200)]))
    lam[0], lam[-1] = 1 / kappa, 1
    theta = np.abs(
        run(RULES[name], lambda x: lam * x, np.ones(len(lam)), 60, record=("theta",), **hyper).theta
    )
    bound = finite_bound(name, 1 / kappa, 1, t, which, start)
    assert (theta.max(axis=1) <= bound * (1 + 1e-9)).all()
    if name == "chebyshev":  # attained between the grid's curvatures too, at the ends always
        assert theta[:, [0, -1]].max(axis=1) == pytest.approx(bound, rel=1e-9)
    else:
        assert theta.max(axis=1) == pytest.approx(bound, rel=1e-9)


def test_the_hump_of_heavy_ball_from_rest():  # tight
    for kappa, peak, at in [(100, 3.707, 4), (1e3, 11.645, 15), (1e4, 36.790, 49), (1e5, 116.335, 158)]:
        bound = finite_bound("heavy_ball", 1 / kappa, 1, np.arange(400))
        assert bound.argmax() == at
        assert bound.max() == pytest.approx(peak, abs=6e-4)
        assert finite_bound("heavy_ball", 1 / kappa, 1, np.arange(400), start="polyak").max() == 1
    assert bound.max() == pytest.approx(math.sqrt(1e5) / math.e, rel=2e-3)


def test_the_textbook_bound_is_off_by_a_factor():
    ratio = finite_bound("heavy_ball", 0.01, 1, 200) / tune("heavy_ball", 0.01, 1).rate ** 200
    assert round(float(ratio)) == 365


# --- lower bounds ------------------------------------------------------------------------------------


def test_the_lower_bound_is_a_chebyshev_polynomial():
    for kappa in (1.5, 10, 1000):
        for t in range(8):
            chebyshev = np.polynomial.chebyshev.chebval((kappa + 1) / (kappa - 1), np.eye(t + 1)[t])
            assert lower_bound(kappa, t) == pytest.approx(1 / chebyshev, rel=1e-12)
    assert lower_bound([[1], [4]], [0, 1, 2]).shape == (2, 3)
    assert lower_bound(1, [0, 1]).tolist() == [1, 0]


@pytest.mark.parametrize(("name", "which"), [pair for pair in TUNINGS if pair[0] != "bias_corrected"])
def test_no_tuning_beats_the_lower_bound(name, which, eigenvalues):  # lower
    hyper = dict(tune(name, 0.01, 1, which).hyper)
    theta = run(
        RULES[name], lambda x: eigenvalues * x, np.ones(eigenvalues.size), 60, record=("theta",), **hyper
    ).theta
    worst = np.abs(theta).max(axis=1)
    assert (worst >= lower_bound(100, np.arange(61)) * (1 - 1e-3)).all()  # 1e-3: the worst lies between two
    assert tune(name, 0.01, 1, which).rate >= lower_rate(100) - 1e-15


# --- learning rate at a given momentum ---------------------------------------------------------------


def test_best_eta_is_best():
    gamma = np.array([0.0, 0.3, 0.6, 0.66, 0.67, 0.9, 0.99])
    low, high, rate = best_eta(gamma, 0.01, 1)
    assert (low <= high).all() and (low[4:] < high[4:]).all() and (low[:4] == high[:4]).all()
    for eta in (low, high, (low + high) / 2):
        assert worst_rate(heavy_ball, 0.01, 1, eta=eta, gamma=gamma) == pytest.approx(rate, abs=1e-7)
    for eta in (low * 0.99, high * 1.001):
        assert (worst_rate(heavy_ball, 0.01, 1, eta=eta, gamma=gamma) > rate + 1e-5).all()


def test_the_regret_of_always_nine_tenths():
    for kappa, cost in [(10, 12.4), (100, 3.81), (1000, 1.20), (1e4, 5.07), (1e5, 16.6)]:
        ratio = math.log(tune("heavy_ball", 1 / kappa, 1).rate) / math.log(best_eta(0.9, 1 / kappa, 1).rate)
        assert ratio == pytest.approx(cost, rel=5e-3)


# --- numeric -----------------------------------------------------------------------------------------


def test_worst_rate_is_the_largest_radius_of_a_fine_grid():
    lam = np.linspace(0.05, 1, 20001)
    rng = np.random.default_rng(0)
    for gamma, eta in zip(rng.uniform(0, 1, 20), rng.uniform(0.1, 3, 20), strict=True):
        for each in (heavy_ball, nesterov):
            fine = spectral_radius(each, lam, eta=eta, gamma=gamma).max()
            assert worst_rate(each, 0.05, 1, eta=eta, gamma=gamma) == pytest.approx(fine, abs=1e-12)


def test_worst_rate_finds_a_peak_inside():
    """Two reads a step: the radius |(1 - eta lam)(eta lam - c)| has its peak between the ends."""

    @rule
    def twice(theta, grad, *, eta, c):
        x = theta - eta * grad(theta)
        return (eta * grad(x) - c * x,)

    rng = np.random.default_rng(1)
    c = rng.uniform(0, 0.2, 30)
    inside = (1 - c) ** 2 / 4  # at eta lam = (1 + c)/2, off the grid
    assert worst_rate(twice, 0.2, 1, eta=1.0, c=c) == pytest.approx(inside, rel=1e-12)


def test_worst_rate_takes_a_map_at_once():
    eta, gamma = np.linspace(0.1, 3, 4)[:, None], np.linspace(0, 0.9, 3)
    whole = worst_rate(heavy_ball, 0.1, 1, eta=eta, gamma=gamma)
    assert whole.shape == (4, 3)
    assert whole[2, 1] == worst_rate(heavy_ball, 0.1, 1, eta=eta[2, 0], gamma=gamma[1])


@pytest.mark.parametrize("kappa", [2, 10, 100, 1e4])
@pytest.mark.parametrize("name", ["heavy_ball", "nesterov"])
def test_minimax_finds_the_theorems(name, kappa):  # tight
    tuning = tune(name, 2 / kappa, 2)
    hyper, rate = minimax(RULES[name], 2 / kappa, 2)
    assert abs(rate - tuning.rate) < 1e-9
    assert hyper == pytest.approx(dict(tuning.hyper), rel=1e-5)


@pytest.mark.parametrize("name", ["gradient_descent", "torch_sgd", "ema", "bias_corrected", "primal_average"])
def test_minimax_finds_them_in_every_convention(name):
    tuning = tune(name, 0.02, 1)
    hyper, rate = minimax(RULES[name], 0.02, 1)
    assert abs(rate - tuning.rate) < 1e-9
    assert hyper == pytest.approx(dict(tuning.hyper), rel=1e-5)


@pytest.mark.parametrize("name", ["qhm", "triple_momentum", "robust_momentum", "mass", "accsgd"])
def test_what_contains_heavy_ball_is_as_fast_and_no_faster(name):
    _, rate = minimax(RULES[name], 0.01, 1)
    assert -1e-12 < rate - lower_rate(100) < 1e-6


def test_minimax_of_aggregated_momentum_is_a_minimum():
    hyper, rate = minimax(RULES["aggregated"], 0.01, 1)
    assert set(hyper) == {"eta"}
    assert (
        rate <= worst_rate(RULES["aggregated"], 0.01, 1, eta=hyper["eta"] * np.linspace(0.5, 1.5, 101))
    ).all()


def test_minimax_tunes_a_students_rule():
    @rule
    def mine(theta, b, grad, *, step, memory):  # the step size has no name that is known here
        b = memory * b + grad(theta)
        return theta - step * b, b

    hyper, rate = minimax(mine, 0.3, 30)
    assert abs(rate - lower_rate(100)) < 1e-9
    assert hyper["step"] == pytest.approx(tune("torch_sgd", 0.3, 30).hyper["eta"], rel=1e-5)
    with pytest.raises(ValueError, match="minimax"):
        tune(mine, 0.3, 30)


def test_minimax_holds_what_is_fixed():
    hyper, rate = minimax(heavy_ball, 0.01, 1, gamma=0.5)
    low, _, best = best_eta(0.5, 0.01, 1)
    assert hyper == {"eta": pytest.approx(low, rel=1e-6)} and rate == pytest.approx(best)
    assert minimax(heavy_ball, 0.01, 1, gamma=0.5, eta=1.0) == (
        {},
        worst_rate(heavy_ball, 0.01, 1, eta=1.0, gamma=0.5),
    )
    assert minimax(RULES["chebyshev"], 0.01, 1) == ({}, pytest.approx(lower_rate(100), abs=1e-7))


def test_minimax_leaves_out_what_makes_no_difference():
    hyper, _ = minimax(RULES["triple_momentum"], 0.1, 1)
    assert hyper["delta"] == 0  # an output only
    assert hyper["gamma"] == pytest.approx(0, abs=1e-6)  # and heavy ball is the fastest member


def test_minimax_has_no_memory_of_units():
    small, rate = minimax(nesterov, 1e-9, 1e-7)
    large, same = minimax(nesterov, 1e7, 1e9)
    assert rate == pytest.approx(same, abs=1e-9)
    assert small["eta"] * 1e-7 == pytest.approx(large["eta"] * 1e9)


def test_a_tuned_run_converges_at_its_rate():
    rate = tune("nesterov", 0.01, 1).rate
    time = settling_time(nesterov, [0.01, 1], [1, 1], 1e-30, 2000, **tune("nesterov", 0.01, 1).hyper)
    assert math.log(1e-30) / math.log(rate) < time < 1.1 * math.log(1e-30) / math.log(rate)


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mu", "L"), [(-1, 1), (2, 1), (1, math.inf), (math.nan, 1), ("a", 1), (0, 0)])
def test_curvatures_out_of_order_are_refused(mu, L):
    for call in (
        lambda: tune("nesterov", mu, L),
        lambda: worst_rate(nesterov, mu, L, eta=1, gamma=0),
        lambda: minimax(nesterov, mu, L),
        lambda: best_eta(0.5, mu, L),
        lambda: finite_bound("nesterov", mu, L, 3),
    ):
        with pytest.raises(ValueError, match="0 < mu <= L"):
            call()


def test_a_convex_problem_is_told_where_to_go():
    with pytest.raises(ValueError, match="mu=0 leaves no linear rate.*eta = 1/L"):
        tune("heavy_ball", 0, 1)


def test_refusals_name_value_and_remedy():
    imposter = Rule(torch_sgd.step, name="heavy_ball", slots=("theta", "b"), hyper=("eta", "gamma"))
    for call, error, says in [
        (lambda: tune("aggregated", 0.1, 1), ValueError, r"minimax\(aggregated, mu, L\)"),
        (lambda: tune(imposter, 0.1, 1), ValueError, "a rule of your own"),
        (lambda: tune("nesterov", 0.1, 1, "polyak"), ValueError, "'optimal', 'standard'"),
        (lambda: tune("nesterov", 0.1, 1, gamma=0.9), TypeError, "nothing is left open"),
        (lambda: tune("heavy_ball", 0.1, 1, "ghadimi", rho=0.9), TypeError, "only eta is left open"),
        (lambda: tune("heavy_ball", 0.1, 1, "ghadimi", eta=1.5), ValueError, "eta <= 1/L = 1"),
        (lambda: tune("robust_momentum", 0.01, 1, rho=0.5), ValueError, "= 0.9 to .* = 0.99"),
        (lambda: best_eta(1.0, 0.1, 1), ValueError, r"in \[0, 1\)"),
        (lambda: lower_rate(0.5), ValueError, "at least 1"),
        (lambda: lower_bound(10, -1), ValueError, "at least 0"),
        (lambda: finite_bound("torch_nesterov", 0.1, 1, 3), ValueError, "no exact bound is known here"),
        (lambda: finite_bound("ema", 0.1, 1, 3, start="polyak"), ValueError, "no exact bound is known here"),
        (
            lambda: finite_bound("heavy_ball", 0.1, 1, 3, "ghadimi"),
            ValueError,
            "no exact bound is known here",
        ),
    ]:
        with pytest.raises(error, match=says):
            call()


def test_a_rule_that_is_not_linear_is_refused():
    @rule
    def squared(theta, grad, *, eta):
        return (theta - eta * grad(theta) ** 2,)

    for call in (lambda: minimax(squared, 0.1, 1), lambda: worst_rate(squared, 0.1, 1, eta=1.0)):
        with pytest.raises(NotLinear):
            call()
