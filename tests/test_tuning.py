"""Tunings keep what their theorems promise, and the numeric search finds them again."""

import math
import tracemalloc

import numpy as np
import pytest

from momentum_lib.definition import RULES, NotLinear, Rule, RuleError
from momentum_lib.problems import Quadratic
from momentum_lib.rules import (
    bias_corrected,
    chebyshev,
    ema,
    gradient_descent,
    heavy_ball,
    mass,
    nesterov,
    primal_average,
    qhm,
    robust_momentum,
    torch_nesterov,
    torch_sgd,
    triple_momentum,
)
from momentum_lib.runner import run
from momentum_lib.spectrum import closed_form, settling_time, spectral_radius
from momentum_lib.tuning import (
    _CARRIED,
    _THEOREMS,
    best_eta,
    finite_bound,
    lower_bound,
    lower_rate,
    minimax,
    tune,
    worst_rate,
)

CARRIED = [(rule, *one) for rule, there in _CARRIED.items() for one in there.items()]
CARRIED = [(rule, source, which) for rule, source, names in CARRIED for which in names]
TUNINGS = [(rule, law.which) for rule, laws in _THEOREMS.items() for law in laws]
TUNINGS += [(rule, which) for rule, _, which in CARRIED]


def student(step):
    """A rule outside the registry."""
    return Rule(step)


@student
def letters_ball(theta, b, grad, *, L, mu):
    """PyTorch's momentum; L is the step size and mu the momentum."""
    b = mu * b + grad(theta)
    return theta - L * b, b


@pytest.mark.parametrize("kappa", [1, 1.5, 10, 100, 1000, 1e4])
@pytest.mark.parametrize(("rule", "which"), TUNINGS)
def test_the_rate_is_the_worst_radius(rule, which, kappa):
    tuned = tune(rule, 3 / kappa, 3, which)
    assert tuned.base is rule and not tuned.free and tuned.promise.which == which
    assert tuned.kind in ("tight", "upper", "asymptotic") and tuned.theorem and tuned.promise.bounds
    worst = worst_rate(tuned, 3 / kappa, 3)
    if which == "ghadimi":  # upper: f falls by the rate a step, so the distance by its root
        assert worst <= math.sqrt(tuned.rate) + 1e-12
    else:  # tight; a double root is known to the root of machine precision
        assert worst == pytest.approx(tuned.rate, abs=1e-7)
    if kappa == 1:  # met in one step
        assert tuned.rate == (0.5 if which == "ghadimi" else 0)
    assert len(TUNINGS) == 30 and tuned.rate >= lower_rate(kappa) - 1e-15


@pytest.mark.parametrize(("rule", "source", "which"), CARRIED)
def test_carried_tunings_take_the_steps_of_their_source(rule, source, which):
    problem = Quadratic(np.geomspace(0.02, 1, 7))
    reports = torch_nesterov if source is nesterov and rule is not mass else source  # the look-ahead
    here, there = (closed_form(tune(one, 0.02, 1, which), problem, 1.0, 40) for one in (rule, reports))
    gap = np.abs(here - there).max()
    # Bias correction fades: the same in the limit only.
    assert gap > 0.1 if rule is bias_corrected else gap < 1e-12


def test_polyak_and_lessard_print_these_numbers():
    polyak, best = tune(heavy_ball, 0.01, 1), tune(nesterov, 0.01, 1)
    assert repr(polyak) == "heavy_ball(eta=3.30579, gamma=0.669421)"
    assert repr(best) == "nesterov(eta=1.3289, gamma=0.793275)" and round(best.rate, 6) == 0.884722
    assert tune(nesterov, 0.01, 1, "standard").rate == pytest.approx(0.9)


def test_robust_momentum_runs_from_triple_momentum_to_gradient_descents_rate():
    fast, slow = tune(robust_momentum, 0.01, 1), tune(robust_momentum, 0.01, 1, rho=0.99)
    triple = dict(tune(triple_momentum, 0.01, 1).setting)
    triple.pop("delta")
    assert dict(fast.setting) == pytest.approx(triple)
    assert slow.rate == tune(gradient_descent, 0.01, 1, "standard").rate
    assert worst_rate(slow, 0.01, 1) == pytest.approx(0.99)


@pytest.mark.parametrize("eta", [0.2, 0.5, 1.0])
def test_the_theorem_of_ghadimi_holds_along_a_run(eta):  # upper
    problem = Quadratic(np.geomspace(0.05, 1, 9))
    tuned = tune(heavy_ball.at(eta=eta), 0.05, 1, "ghadimi")
    assert tuned.setting["eta"] == eta
    values = problem.value(run(tuned, problem.grad, np.ones(9), 100).theta)
    assert (values <= values[0] * tuned.rate ** np.arange(101) * (1 + 1e-12)).all()


# --- exact bounds in t steps -------------------------------------------------------------------------

BALLS = ["heavy_ball", "polyak_two_step", "keras_sgd", "torch_sgd", "ema", "primal_average", "qhm"]
BOTH = ["gradient_descent", "nesterov", "mass"]
FINITE = [(name, which, "rest") for name in BOTH for which in ("optimal", "standard")]
FINITE += [(name, "polyak", "rest") for name in BALLS] + [(name, "polyak", "polyak") for name in BALLS[:3]]
FINITE += [("triple_momentum", "fastest", "rest"), ("chebyshev", "chebyshev", "rest")]


@pytest.mark.parametrize("kappa", [10, 100, 1000])
@pytest.mark.parametrize(("name", "which", "start"), FINITE)
def test_the_finite_bound_is_met_and_never_passed(name, which, start, kappa):  # tight
    rule = RULES[name]
    tuned = tune(rule, 1 / kappa, 1, which)
    if start == "polyak":
        eta, gamma = tuned.setting["eta"], tuned.setting["gamma"]
        tuned = tuned.at(eta=lambda t: eta / (1 + gamma) if t == 1 else eta)
    lam = np.unique(np.concatenate([np.geomspace(1 / kappa, 1, 200), np.linspace(1 / kappa, 1, 200)]))
    lam[0], lam[-1] = 1 / kappa, 1
    theta = np.abs(run(tuned, lambda x: lam * x, np.ones(len(lam)), 60, record=("theta",)).theta)
    bound = finite_bound(rule, 1 / kappa, 1, np.arange(61), which, start)
    assert (theta.max(axis=1) <= bound * (1 + 1e-9)).all()
    if name == "chebyshev":  # attained between the grid's curvatures too, at the ends always
        theta = theta[:, [0, -1]]
    assert theta.max(axis=1) == pytest.approx(bound, rel=1e-9)


def test_the_hump_of_heavy_ball_from_rest():  # tight
    t = np.arange(400)
    for kappa, peak, at in [(100, 3.707, 4), (1e3, 11.645, 15), (1e4, 36.790, 49), (1e5, 116.335, 158)]:
        bound = finite_bound(heavy_ball, 1 / kappa, 1, t)
        assert bound.argmax() == at and bound.max() == pytest.approx(peak, abs=6e-4)
        assert finite_bound(heavy_ball, 1 / kappa, 1, t, start="polyak").max() == 1
    assert bound.max() == pytest.approx(math.sqrt(1e5) / math.e, rel=2e-3)
    # The textbook's power leaves out this factor.
    assert round(float(finite_bound(heavy_ball, 0.01, 1, 200) / tune(heavy_ball, 0.01, 1).rate ** 200)) == 365


# --- lower bounds ------------------------------------------------------------------------------------


def test_the_lower_bound_is_a_chebyshev_polynomial():
    for kappa in (1.5, 10, 1000):
        for t in range(8):
            value = np.polynomial.chebyshev.chebval((kappa + 1) / (kappa - 1), np.eye(t + 1)[t])
            assert lower_bound(kappa, t) == pytest.approx(1 / value, rel=1e-12)
    assert lower_bound([[1], [4]], [0, 1, 2]).shape == (2, 3)
    assert lower_bound(1, [0, 1]).tolist() == [1, 0]


@pytest.mark.parametrize(("rule", "which"), [pair for pair in TUNINGS if pair[0] is not bias_corrected])
def test_no_tuning_beats_the_lower_bound(rule, which):  # lower
    lam = np.unique(np.concatenate([np.linspace(0.01, 1, 301), np.geomspace(0.01, 1, 301)]))
    tuned = tune(rule, 0.01, 1, which)
    theta = run(tuned, lambda x: lam * x, np.ones(lam.size), 60, record=("theta",)).theta
    bound = lower_bound(100, np.arange(61)) * (1 - 1e-3)  # 1e-3: the worst lies between two
    assert (np.abs(theta).max(axis=1) >= bound).all()


# --- learning rate at a given momentum ---------------------------------------------------------------

GAMMA = np.array([0.0, 0.3, 0.6, 0.66, 0.67, 0.9, 0.99])


def test_best_eta_is_best():
    low, high, rate = best_eta(heavy_ball.at(gamma=GAMMA), 0.01, 1)
    assert (low <= high).all() and (low[4:] < high[4:]).all() and (low[:4] == high[:4]).all()
    for eta in (low, high, (low + high) / 2):
        assert worst_rate(heavy_ball.at(eta=eta, gamma=GAMMA), 0.01, 1) == pytest.approx(rate, abs=1e-7)
    for eta in (low * 0.99, high * 1.001):
        assert (worst_rate(heavy_ball.at(eta=eta, gamma=GAMMA), 0.01, 1) > rate + 1e-5).all()


@pytest.mark.parametrize(
    ("rule", "scale"),
    [(torch_sgd.at(gamma=GAMMA), 1), (ema.at(gamma=GAMMA), 1 - GAMMA), (letters_ball.at(mu=GAMMA), 1)]
    + [(primal_average.at(c=1 - GAMMA), 1 - GAMMA), (bias_corrected.at(gamma=GAMMA), 1)],
)
def test_heavy_ball_is_known_by_its_polynomial_not_by_its_name(rule, scale):
    ball = best_eta(heavy_ball.at(gamma=GAMMA), 0.01, 1)
    for end in ("low", "high"):
        assert getattr(best_eta(rule, 0.01, 1), end) * scale == pytest.approx(getattr(ball, end), rel=1e-9)


def test_best_eta_of_any_other_rule_is_searched():
    low, high, rate = best_eta(nesterov.at(gamma=GAMMA), 0.01, 1)
    assert (low == high).all()
    for i, gamma in enumerate(GAMMA):
        assert rate[i] == pytest.approx(minimax(nesterov.at(gamma=gamma), 0.01, 1).rate, abs=1e-9)
    alone = best_eta(RULES["aggregated"], 0.01, 1)
    assert alone.rate == pytest.approx(minimax(RULES["aggregated"], 0.01, 1).rate, abs=1e-9)


def test_the_regret_of_always_nine_tenths():
    for kappa, cost in [(10, 12.4), (100, 3.81), (1000, 1.20), (1e4, 5.07), (1e5, 16.6)]:
        always = best_eta(heavy_ball.at(gamma=0.9), 1 / kappa, 1).rate
        assert math.log(lower_rate(kappa)) / math.log(always) == pytest.approx(cost, rel=5e-3)


# --- numeric -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [heavy_ball, nesterov])
def test_worst_rate_of_a_map_is_the_largest_radius_of_a_fine_grid(rule):
    at = rule.at(eta=np.linspace(0.1, 3, 5)[:, None, None], gamma=np.linspace(0, 0.99, 4)[:, None])
    whole = worst_rate(at.at(**{n: v[..., 0] for n, v in at.setting.items()}), 0.05, 1)
    assert whole == pytest.approx(spectral_radius(at, np.linspace(0.05, 1, 20001)).max(axis=-1), abs=1e-12)
    assert whole.shape == (5, 4)


def test_worst_rate_finds_a_peak_inside():
    """Two reads a step: the radius |(1 - eta lam)(eta lam - c)| has its peak between the ends."""

    @student
    def twice(theta, grad, *, eta, c):
        x = theta - eta * grad(theta)
        return (eta * grad(x) - c * x,)

    c = np.random.default_rng(1).uniform(0, 0.2, 30)
    inside = (1 - c) ** 2 / 4  # at eta lam = (1 + c)/2, off the grid
    assert worst_rate(twice.at(eta=1.0, c=c), 0.2, 1) == pytest.approx(inside, rel=1e-12)


@pytest.mark.parametrize("unit", [1e-9, 0.3, 1e7])
def test_letters_named_mu_and_l_are_letters(unit):
    """Only the shipped Chebyshev, the object, is made of the spectrum; the step size goes by what it does."""
    found = minimax(letters_ball, unit, 100 * unit)
    assert abs(found.rate - lower_rate(100)) < 1e-9
    assert found.setting["L"] * unit == pytest.approx(tune(torch_sgd, 1, 100).setting["eta"], rel=1e-5)
    assert worst_rate(letters_ball.at(L=1.0, mu=0.81), 0.1, 1) == pytest.approx(0.9)
    for missing in (letters_ball.at(L=1.0), Rule(chebyshev.step, name="chebyshev")):
        with pytest.raises(RuleError, match="leaves mu"):
            worst_rate(missing, unit, 100 * unit)
    assert worst_rate(chebyshev, unit, 100 * unit) == pytest.approx(lower_rate(100), abs=1e-7)
    assert dict(minimax(chebyshev, unit, 100 * unit).setting) == {"mu": unit, "L": 100 * unit}


@pytest.mark.parametrize(
    ("rule", "kappa"),
    [(rule, kappa) for rule in (heavy_ball, nesterov) for kappa in (2, 10, 100, 1e4)]
    + [(rule, 50) for rule in (gradient_descent, torch_sgd, ema, bias_corrected, primal_average)],
)
def test_minimax_finds_the_theorems_in_every_convention(rule, kappa):  # tight
    tuned, found = tune(rule, 2 / kappa, 2), minimax(rule, 2 / kappa, 2)
    assert abs(found.rate - tuned.rate) < 1e-9
    letters = {name: tuned.setting[name] for name in rule.free}
    assert {name: found.setting[name] for name in rule.free} == pytest.approx(letters, rel=1e-5)
    assert found.kind == "asymptotic" and "numerical" in found.theorem


@student
def renamed(theta, w, grad, *, p, q, r):
    """AccSGD, which comes near heavy ball as two letters grow without bound."""
    return RULES["accsgd"].step(theta, w, grad, delta=p, kappa=q, xi=r)


@pytest.mark.parametrize("rule", [qhm, triple_momentum, robust_momentum, mass, RULES["pid"], renamed])
def test_what_contains_heavy_ball_is_as_fast_and_no_faster(rule):
    found = minimax(rule, 0.01, 1)
    assert -1e-12 < found.rate - lower_rate(100) < 1e-7
    if rule is triple_momentum:  # delta is an output only
        assert found.setting["delta"] == 0 and found.setting["gamma"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("cost", [9e-4, 1e-6, 1e-9])
def test_a_letter_that_costs_little_is_kept(cost):
    """Heavy ball but for a tenth of a letter; without that letter the rate is `cost` larger."""
    short = (lower_rate(100) + cost) ** 2  # too much momentum: the rate is its root

    @student
    def faint(theta, v, grad, *, eta, less):
        v = (short - less / 10) * v + eta * grad(theta)
        return theta - v, v

    found = minimax(faint, 0.01, 1)
    assert found.setting["less"] != 0 and found.rate < lower_rate(100) + cost / 10


def test_minimax_holds_what_is_set():
    found, best = minimax(heavy_ball.at(gamma=0.5), 0.01, 1), best_eta(heavy_ball.at(gamma=0.5), 0.01, 1)
    assert dict(found.setting) == {"eta": pytest.approx(best.low, rel=1e-6), "gamma": 0.5}
    assert found.rate == pytest.approx(best.rate)
    whole = heavy_ball.at(eta=1.0, gamma=0.5)
    assert minimax(whole, 0.01, 1) == whole and minimax(whole, 0.01, 1).rate == worst_rate(whole, 0.01, 1)


def test_a_tuned_run_converges_at_its_rate():
    tuned = tune(nesterov, 0.01, 1)
    predicted = math.log(1e-30) / math.log(tuned.rate)
    assert predicted < settling_time(tuned, [0.01, 1], [1, 1], 1e-30, 2000) < 1.1 * predicted


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mu", "L"), [(-1, 1), (2, 1), (1, math.inf), (math.nan, 1), ("a", 1), (0, 0)])
@pytest.mark.parametrize(
    "call",
    [
        lambda mu, L: tune(nesterov, mu, L),
        lambda mu, L: worst_rate(nesterov.at(eta=1, gamma=0), mu, L),
        lambda mu, L: minimax(nesterov, mu, L),
        lambda mu, L: best_eta(nesterov.at(gamma=0.5), mu, L),
        lambda mu, L: finite_bound(nesterov, mu, L, 3),
    ],
)
def test_curvatures_out_of_order_are_refused(call, mu, L):
    with pytest.raises(ValueError, match="0 < mu <= L|give one finite number"):
        call(mu, L)


IMPOSTER = Rule(torch_sgd.step, name="heavy_ball", slots=("theta", "b"), hyper=("eta", "gamma"))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: tune(heavy_ball, 0, 1), ValueError, "mu=0 leaves no linear rate.*eta = 1/L"),
        (lambda: tune("heavy_ball", 0.1, 1), RuleError, r'take RULES\["heavy_ball"\]'),
        (lambda: tune(RULES["aggregated"], 0.1, 1), ValueError, "minimax"),
        (lambda: tune(IMPOSTER, 0.1, 1), ValueError, r"about this heavy_ball; minimax\(heavy_ball, mu, L\)"),
        (lambda: tune(nesterov, 0.1, 1, "polyak"), ValueError, "'optimal', 'standard'"),
        (
            lambda: tune(nesterov.at(gamma=0.9), 0.1, 1),
            RuleError,
            r"holds gamma.*minimax\(nesterov\(gamma=0.9\)",
        ),
        (lambda: tune(heavy_ball.at(eta=0.1), 0.1, 1), RuleError, "holds eta, which the 'polyak' tuning"),
        (lambda: tune(torch_sgd.at(eta=0.1), 0.1, 1, "ghadimi"), RuleError, "holds eta"),
        (lambda: tune(torch_sgd.at(dampening=0.5), 0.1, 1), RuleError, "holds dampening"),
        (lambda: tune(bias_corrected.at(t=3), 0.1, 1), RuleError, "holds t"),
        (lambda: tune(heavy_ball, 0.1, 1, rho=0.9), ValueError, "rho=0.9 is robust_momentum's"),
        (lambda: tune(heavy_ball.at(eta=1.5), 0.1, 1, "ghadimi"), ValueError, "eta <= 1/L = 1"),
        (lambda: tune(heavy_ball.at(eta=[0.1, 0.2]), 0.1, 1, "ghadimi"), ValueError, "give one finite"),
        (lambda: tune(robust_momentum, 0.01, 1, rho=0.5), ValueError, "= 0.9 to .* = 0.99"),
        (
            lambda: best_eta(heavy_ball.at(gamma=1.0), 0.1, 1),
            ValueError,
            "no|without any stable learning rate",
        ),
        (lambda: best_eta(heavy_ball, 0.1, 1), RuleError, "leaves eta, gamma open"),
        (lambda: best_eta(mass.at(gamma=0.5), 0.1, 1), RuleError, "here eta1, eta2"),
        (lambda: minimax(heavy_ball.at(gamma=[0.1, 0.2]), 0.1, 1), RuleError, "gamma at an array"),
        (lambda: worst_rate(heavy_ball.at(eta=1), 0.1, 1), RuleError, "leaves gamma open"),
        (lambda: lower_rate(0.5), ValueError, "at least 1"),
        (lambda: lower_bound(10, [2, -1]), ValueError, "t is -1; give a whole number"),
        (lambda: lower_bound(10, 3.0), ValueError, "t is 3.0; give a whole number"),
        (lambda: finite_bound(torch_nesterov, 0.1, 1, 3), ValueError, "no exact bound is known here"),
        (lambda: finite_bound(ema, 0.1, 1, 3, start="polyak"), ValueError, "no exact bound is known here"),
        (lambda: finite_bound(qhm, 0.1, 1, 3, "optimal"), ValueError, "no exact bound is known here"),
        (lambda: finite_bound(heavy_ball, 0.1, 1, 3, "ghadimi"), ValueError, "no exact bound is known here"),
    ],
)
def test_refusals_name_value_and_remedy(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_a_rule_that_is_not_linear_is_refused():
    @student
    def squared(theta, grad, *, eta):
        return (theta - eta * grad(theta) ** 2,)

    for call in (lambda: minimax(squared, 0.1, 1), lambda: worst_rate(squared.at(eta=1.0), 0.1, 1)):
        with pytest.raises(NotLinear):
            call()


@pytest.mark.parametrize("kappa", [1e8, 1e10, 1e12])
@pytest.mark.parametrize("rule", [heavy_ball, nesterov, ema, primal_average, qhm, mass])
def test_minimax_follows_letters_up_to_one_and_down_to_zero(rule, kappa):
    best = tune(nesterov if rule is nesterov else heavy_ball, 1 / kappa, 1).rate
    assert 1 - best <= 1.02 * (1 - minimax(rule, 1 / kappa, 1).rate)


def test_minimax_promises_nothing_that_rounding_decides():
    for name in ("accsgd", "item"):
        assert minimax(RULES[name], 1e-12, 1).rate > lower_rate(1e12)


def test_a_map_takes_the_memory_of_its_letters_whatever_its_size():
    letters = {"eta": np.linspace(0.1, 1, 500)[:, None], "gamma": np.linspace(0, 0.9, 400)}
    for rule in (heavy_ball, RULES["torch_sgd"]):
        tracemalloc.start()
        whole = worst_rate(rule.at(**letters), 0.1, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert whole.shape == (500, 400)
        assert peak < 12 * whole.nbytes  # 65 curvatures beside each cell would be 65
        assert whole[3, 7] == worst_rate(rule.at(eta=letters["eta"][3, 0], gamma=letters["gamma"][7]), 0.1, 1)


def test_ends_too_far_apart_for_floats_are_refused():
    with pytest.raises(ValueError, match="too far apart"):
        tune(heavy_ball, 1e-300, 1e300)
