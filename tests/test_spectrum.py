"""The probe, radii, limits, closed forms and times, each against something that does not use them."""

import math

import numpy as np
import pytest

import momentum_lib as m
from momentum_lib.definition import Rule
from momentum_lib.rules import aggregated
from momentum_lib.spectrum import (
    closed_form,
    hitting_time,
    iteration_matrix,
    leaps,
    probe,
    regimes,
    settling_time,
    spectral_radius,
    stability_limit,
    times,
    transient_growth,
)

#: Every shipped rule at a setting that is stable for curvatures up to 1.
SETTINGS = {
    "gradient_descent": {"eta": 0.7},
    "accsgd": {"delta": 0.1, "kappa": 20, "xi": 4},
    "bias_corrected": {"eta": 0.1, "gamma": 0.8},
    "chebyshev": {"mu": 0.1, "L": 1.0},
    "item": {"eta": 0.5, "q": 0.1, "beta": 0.4, "delta": 0.3},
    "mass": {"eta1": 0.3, "eta2": 0.05, "gamma": 0.7},
    "ogm": {"alpha": 1.0, "beta": 0.4, "gamma": 0.3},
    "pid": {"k_p": 0.2, "k_i": 0.1, "k_d": 0.05, "beta": 0.5},
    "primal_average": {"eta": 0.4, "c": 0.3},
    "qhm": {"alpha": 0.5, "beta": 0.9, "nu": 0.7},
    "robust_momentum": {"alpha": 0.5, "beta": 0.5, "gamma": 0.3},
    "triple_momentum": {"alpha": 1.0, "beta": 0.4, "gamma": 0.3, "delta": 0.2},
    "aggregated": {"eta": 0.5},
    "averaged_heavy_ball": {"eta": 0.6, "gamma": 0.8, "k": 0.5},
    "ema_mixture": {"eta": 0.2, "alpha": 2.0, "beta1": 0.5, "beta3": 0.9},
    "optimistic_gradient": {"eta": 0.3, "gamma": 0.8},
    "schedule_free": {"eta": 0.4, "beta": 0.9},
}
SHIPPED = {name: rule for name, rule in m.RULES.items() if rule.__module__.startswith("momentum_lib")}
AT = {n: r.at(**SETTINGS.get(n, {"eta": 0.6, "gamma": 0.8})) for n, r in SHIPPED.items()}
every_rule = pytest.mark.parametrize("rule", AT.values(), ids=AT)
#: Rules of the step count that report an average over all steps.
AVERAGES = ("averaged_heavy_ball", "schedule_free")
unusual = pytest.mark.filterwarnings("ignore:gamma is")  # a run tells gamma > 1


def signed(theta, v, grad, *, eta, gamma):
    g = grad(theta)
    return theta - eta * np.sign(g), gamma * v


def rectified(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * max(grad(theta), 0)
    return theta - v, v


def textbook(theta, v, grad, *, eta, t):
    gamma = (t - 1) / (t + 2)
    v = gamma * v + eta * grad(theta - gamma * v)
    return theta - v, v


def halved(theta, grad, *, eta):
    return theta / 2 - eta * grad(theta)


def extragradient(theta, grad, *, eta):
    return theta - eta * grad(theta - eta * grad(theta))


def anchored(theta, v, kept, grad, *, eta, gamma, keep):
    v = gamma * v + eta * grad(theta)
    return theta - v, v, keep * kept


def with_matrix(matrix):
    """A rule whose iteration matrix is `matrix` (..., n, n), whatever the curvature."""
    n = matrix.shape[-1]
    letters = {f"m{i}{j}": matrix[..., i, j] for i, j in np.ndindex(n, n)}

    def step(*state_and_grad, **m):
        return tuple(sum(m[f"m{i}{j}"] * state_and_grad[j] for j in range(n)) for i in range(n))

    return Rule(step, slots=[f"s{i}" for i in range(n)], hyper=tuple(letters), name="given").at(**letters)


def radius_by_eigenvalues(rule, lam):
    return np.abs(np.linalg.eigvals(iteration_matrix(rule, lam))).max(axis=-1)


# --- probe -------------------------------------------------------------------------------------------


@every_rule
def test_matrix_steps_the_state_and_probe_assembles_it(rule):
    lam = 0.3
    rule = rule.at(t=7) if rule.counts else rule
    state = np.random.default_rng(1).standard_normal(len(rule.slots))
    matrix = iteration_matrix(rule, lam)
    np.testing.assert_allclose(matrix @ state, rule(*state, lambda x: lam * x), rtol=1e-13, atol=1e-14)
    a, b, c, d = probe(rule)
    assert np.all(np.triu(d) == 0)  # a read uses earlier gradients only
    # gradients g = lam (C s + D g)
    assembled = a + b @ np.linalg.solve(np.eye(d.shape[-1]) - lam * d, lam * c)
    np.testing.assert_allclose(assembled, matrix, rtol=1e-13, atol=1e-14)


def test_matrix_broadcasts_as_a_loop_does():
    lam, eta, gamma = np.array([0.1, 1.0]), np.array([[0.2], [0.5]]), 0.9
    whole = iteration_matrix(m.nesterov.at(eta=eta, gamma=gamma), lam)
    assert whole.shape == (2, 2, 2, 2)
    for i, j in np.ndindex(2, 2):
        one = iteration_matrix(m.nesterov.at(eta=eta[i, 0], gamma=gamma), lam[j])
        np.testing.assert_allclose(whole[i, j], one, rtol=1e-15)


def test_symbols_in_symbols_out():
    import sympy

    lam, eta, gamma = sympy.symbols("lam eta gamma")
    matrix = iteration_matrix(m.heavy_ball.at(eta=eta, gamma=gamma), lam)
    expected = sympy.Matrix([[1 - eta * lam, -gamma], [eta * lam, gamma]])
    assert (matrix - expected).expand() == sympy.zeros(2, 2)


def test_a_rule_is_read_at_the_step_it_is_frozen_at():
    damped = m.torch_sgd.at(eta=0.5, gamma=0.9, dampening=0.5)
    assert [iteration_matrix(r, 1.0)[0, 0] for r in (damped.at(t=1), damped)] == [0.5, 0.75]
    counting = m.bias_corrected.at(eta=0.1, gamma=0.9)
    late = iteration_matrix(m.heavy_ball.at(eta=0.1, gamma=0.9), 0.5)
    np.testing.assert_array_equal(iteration_matrix(counting, 0.5), late)
    assert iteration_matrix(counting.at(t=1), 0.5)[0, 0] == pytest.approx(1 - 0.05 / 0.1)
    # (t-1)/(t+2) is inf/inf at t = inf; the limit is 1.
    assert spectral_radius(Rule(textbook), 0.1) == pytest.approx(math.sqrt(0.9), rel=1e-14)
    scheduled = m.heavy_ball.at(eta=lambda t: 1 / t, gamma=0.5, t=4)
    assert spectral_radius(scheduled, 1.0) == spectral_radius(m.heavy_ball.at(eta=0.25, gamma=0.5), 1.0)


BALL = m.heavy_ball.at(eta=0.1, gamma=0.9)
REFUSED = [
    (lambda x: x, 1.0, m.RuleError, "@rule"),
    ("heavy_ball", 1.0, m.RuleError, r'take RULES\["heavy_ball"\]'),
    (m.heavy_ball.at(eta=0.1), 1.0, m.RuleError, "gamma open"),
    (m.heavy_ball.at(eta=abs, gamma=0.9), 1.0, m.RuleError, "schedule"),
    (BALL, math.nan, m.RuleError, "lam.*nan"),
    (BALL, "1", m.RuleError, "lam"),
    (BALL.at(eta=[1, 2, 3]), [1, 2], m.RuleError, "broadcast"),
    (Rule(signed).at(eta=0.1, gamma=0.9), 1.0, m.NotLinear, "not linear"),
    (Rule(rectified).at(eta=0.1, gamma=0.9), 1.0, m.NotLinear, "not linear"),
]


@pytest.mark.parametrize("call", [iteration_matrix, spectral_radius, regimes, transient_growth])
@pytest.mark.parametrize(("rule", "lam", "error", "words"), REFUSED)
def test_wrong_use_is_refused_with_a_sentence(call, rule, lam, error, words):
    with pytest.raises(error, match=words):
        call(rule, lam)


def test_letters_may_bear_the_names_of_arguments():
    @Rule
    def named(theta, v, grad, *, L, mu, lam=0, rule=0, steps=0, start=0, tol=0, cap=0, theta0=0):
        v = mu * v + L * grad(theta)
        return theta - v, v

    ours, theirs = named.at(L=0.5, mu=0.9), m.heavy_ball.at(eta=0.5, gamma=0.9)
    assert spectral_radius(ours, 0.3) == spectral_radius(theirs, 0.3)
    assert stability_limit(named.at(mu=0.9)) == stability_limit(m.heavy_ball.at(gamma=0.9))
    assert hitting_time(ours, [0.3], 1.0, 1e-3, 99) == hitting_time(theirs, [0.3], 1.0, 1e-3, 99)
    paths = [closed_form(rule, m.Quadratic([0.3]), 1.0, 9) for rule in (ours, theirs)]
    np.testing.assert_array_equal(*paths)


# --- radius ------------------------------------------------------------------------------------------


@every_rule
def test_radius_is_the_largest_eigenvalue_of_every_rule_tight(rule):
    lam = np.linspace(0.05, 1, 40)
    # eigvals itself splits a double root by the square root of the rounding.
    expected = radius_by_eigenvalues(rule, lam)
    np.testing.assert_allclose(spectral_radius(rule, lam), expected, rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("turn", [1.0, 0.6 + 0.8j])
def test_radius_of_random_matrices_upper(size, turn):
    matrix = turn * np.random.default_rng(size).standard_normal((5_000, size, size)) / math.sqrt(size)
    rho = spectral_radius(with_matrix(matrix), 1.0)
    assert np.abs(rho - np.abs(np.linalg.eigvals(matrix)).max(axis=-1)).max() <= 1e-10


def test_radius_with_complex_letters():
    rule, lam = m.heavy_ball.at(eta=0.5, gamma=0.5 + 0.5j), np.linspace(0.1, 3, 30)
    np.testing.assert_allclose(spectral_radius(rule, lam), radius_by_eigenvalues(rule, lam), rtol=1e-12)
    assert set(regimes(rule, [0.1, 3.0])) == {"oscillating", "unstable"}


def test_radius_where_little_is_left_to_compute():
    assert spectral_radius(BALL, np.empty((0, 3))).shape == (0, 3)
    assert np.isnan(spectral_radius(aggregated((0, 0.9)).at(eta=1e308), 1e308))
    assert spectral_radius(m.RULES["aggregated"], [0.1, 0.2]).shape == (2,)  # its one step size counts as 1


def test_radius_of_heavy_ball_is_root_gamma_between_the_critical_curvatures_tight():
    gamma = np.linspace(0.01, 1.5, 50)
    for part in np.linspace(0.001, 0.999, 7):
        between = (1 - np.sqrt(gamma)) ** 2 + part * 4 * np.sqrt(gamma)
        rho = spectral_radius(m.heavy_ball.at(gamma=gamma), between)
        np.testing.assert_allclose(rho, np.sqrt(gamma), rtol=1e-14)


# --- regimes and stability ---------------------------------------------------------------------------


def test_regimes_of_heavy_ball_change_where_the_roots_do():
    # gamma = 1/4: critical at (1 -+ sqrt gamma)^2, unstable from 2 (1 + gamma)
    lam = [0.25 - 1e-6, 0.25, 0.25 + 1e-6, 2.25 - 1e-6, 2.25 + 1e-6, 2.5 - 1e-6, 2.5 + 1e-6]
    assert regimes(m.heavy_ball.at(gamma=0.25), lam).tolist() == [
        "monotone", "critical", "oscillating", "oscillating", "alternating", "alternating", "unstable",
    ]  # fmt: skip
    assert regimes(m.gradient_descent, [0.5, 1.0, 1.5, 2.5]).tolist() == [
        "monotone", "monotone", "alternating", "unstable",
    ]  # fmt: skip
    # Beside a slot that theta does not see: eigenvalues of three slots, and rounding in them.
    hidden, gamma = Rule(anchored), np.linspace(0.1, 0.95, 18)
    assert (
        regimes(hidden.at(gamma=0.25, keep=0.1), lam).tolist()
        == regimes(m.heavy_ball.at(gamma=0.25), lam).tolist()
    )
    assert set(regimes(hidden.at(gamma=gamma, keep=0.1), (1 - np.sqrt(gamma)) ** 2)) == {"critical"}


@pytest.mark.parametrize(("keep", "stable"), [(1.0, False), (-1.0, False), (1 - 1e-9, True)])
def test_a_hidden_mode_of_modulus_one_is_unstable(keep, stable):
    rule = Rule(anchored).at(gamma=0.5, keep=keep)
    assert spectral_radius(rule, 1.0) == pytest.approx(abs(keep), abs=1e-14)
    assert (regimes(rule, 1.0) != "unstable") == stable
    assert stability_limit(rule) == (pytest.approx(3.0, rel=1e-12) if stable else 0.0)
    # Where it is not seen it does not keep theta from its goal.
    assert np.isfinite(settling_time(rule.at(eta=1.0), [1.0], 1.0, 1e-6, 200))


LIMITS = [  # rule, its limit
    *((m.heavy_ball.at(gamma=g), 2 * (1 + g)) for g in (0.0, 0.3, 0.9, 0.999)),
    *((m.nesterov.at(gamma=g), (2 + 2 * g) / (1 + 2 * g)) for g in (0.0, 0.9, 0.999, 1.0)),
    *((m.ema.at(gamma=g), 2 * (1 + g) / (1 - g)) for g in (0.0, 0.3, 0.9, 0.999)),
    *(
        (aggregated(gs), 2 * len(gs) / sum(1 / (1 + g) for g in gs))
        for gs in ((0, 0.9), (0, 0.9, 0.99, 0.999))
    ),
    (Rule(textbook), 4 / 3),
    (Rule(textbook).at(t=5), (2 + 8 / 7) / (1 + 8 / 7)),
    (Rule(extragradient), 1.0),
    (Rule(extragradient).at(eta=1e-5), 1e5),
    (m.heavy_ball.at(eta=np.array([[1.0], [0.1]]), gamma=np.array([0.0, 0.5])), [[2, 3], [20, 30]]),
    (m.heavy_ball.at(gamma=[1.0, 1.2]), [0, 0]),
    (m.gradient_descent.at(eta=-1.0), 0),
    (Rule(halved).at(eta=0.0), math.inf),
    (Rule(halved).at(eta=-1.0), 0.5),  # left through z = 1
    (Rule(extragradient).at(eta=0.0), 0),  # nothing moves
]


@pytest.mark.parametrize(("rule", "limit"), LIMITS)
def test_stability_limits_tight(rule, limit):
    np.testing.assert_allclose(stability_limit(rule), limit, rtol=1e-12)


@pytest.mark.parametrize("rule", [m.RULES["mass"], m.RULES["chebyshev"]])
def test_curvature_is_counted_in_one_step_size_or_not_at_all(rule):
    for call in (stability_limit, lambda r: spectral_radius(r, 1.0), lambda r: regimes(r, 1.0)):
        with pytest.raises(m.RuleError, match="no one step size can count as 1"):
            call(rule)


def test_stability_limit_refuses_symbols():
    import sympy

    with pytest.raises(m.RuleError, match="gamma is g"):
        stability_limit(m.heavy_ball.at(gamma=sympy.Symbol("g")))


@pytest.mark.parametrize("name", AVERAGES)
def test_an_average_of_all_steps_never_forgets_in_the_limit(name):
    assert stability_limit(AT[name]) == 0


@pytest.mark.parametrize("rule", [rule for name, rule in AT.items() if name not in AVERAGES], ids=repr)
def test_stability_limit_separates_stable_from_unstable(rule):
    limit = float(stability_limit(rule))
    assert 0 < limit < math.inf
    assert spectral_radius(rule, limit * np.linspace(1e-3, 1 - 1e-6, 300)).max() < 1 + 1e-12
    assert spectral_radius(rule, limit * (1 + 1e-6)) > 1 - 1e-12


def one_read(p0, p1):
    """The rule of three slots whose characteristic polynomial is p0 + lam p1, and its radius on an array."""

    def step(x, y, z, grad):
        g = grad(-p1[0] * x - p1[1] * y - p1[2] * z)
        return -p0[1] * x - p0[2] * y - p0[3] * z + g, x, y

    def radius(lam):
        return np.array([np.abs(np.roots(np.polyadd(p0, k * np.asarray(p1)))).max() for k in lam])

    return Rule(step, slots="xyz", hyper=()), radius


@pytest.mark.parametrize(
    ("p0", "p1", "stable", "again"),
    [
        ([1, -2.914, 2.84, -0.926], [0.1, -0.125, 0.036], 0.1, 10),
        ([1, -2.872, 2.747, -0.875], [1, -0.645, 0.104], 1e-3, 4),
    ],
)
def test_stability_limit_is_the_end_of_the_first_stable_stretch(p0, p1, stable, again):
    rule, radius = one_read(p0, p1)
    limit = float(stability_limit(rule))
    assert stable < limit < again / 4
    assert radius(limit * np.linspace(1e-6, 1 - 1e-9, 400)).max() < 1
    assert radius([limit * (1 + 1e-9)]) > 1 > radius([again])


def test_stability_limit_of_random_rules():
    rng, limits = np.random.default_rng(3), []
    for _ in range(100):
        roots = rng.choice([1.0, 1j]) * rng.uniform(0.1, 0.95) + rng.uniform(-0.3, 0.3)
        p0 = np.poly([1.0, roots, np.conj(roots)]).real
        rule, radius = one_read(p0, rng.standard_normal(3))
        limits.append(limit := float(stability_limit(rule)))
        if limit == 0:
            assert radius([1e-5]) >= 1
        else:
            assert radius(min(limit, 1e6) * np.geomspace(1e-6, 1 - 1e-9, 60)).max() < 1
        if 0 < limit < math.inf:
            assert radius([limit * (1 + 1e-7)]) > 1
    assert 10 < np.count_nonzero(limits) < 90


def test_stability_limit_of_a_complex_momentum():
    rule = m.heavy_ball.at(gamma=0.5 + 0.5j)
    limit = stability_limit(rule)
    assert spectral_radius(rule, limit * np.linspace(1e-3, 1, 500)).max() <= 1
    assert spectral_radius(rule, limit * (1 + 1e-9)) > 1


# --- closed form -------------------------------------------------------------------------------------

LINEAR = np.array([0.3, -0.2, 0.5])
PROBLEMS = {
    "diagonal": m.Quadratic([0.1, 0.4, 1.0]),
    "linear": m.Quadratic([0.1, 0.4, 1.0], linear=LINEAR),
    "rotated": m.Quadratic([0.1, 0.4, 1.0], linear=LINEAR, rotation=np.random.default_rng(5)),
    "matrix": m.Quadratic(matrix=[[0.6, 0.2, 0], [0.2, 0.5, 0.1], [0, 0.1, 0.4]], linear=LINEAR),
}


def assert_same_path(rule, problem, steps=60, theta0=(1.0, -2.0, 0.5), **options):
    stepped = m.run(rule, problem.grad, np.array(theta0), steps, **options).theta
    closed = closed_form(rule, problem, theta0, steps, **options)
    assert closed.shape == stepped.shape
    np.testing.assert_allclose(closed, stepped, rtol=1e-10, atol=1e-10 * np.abs(stepped).max())


@every_rule
@pytest.mark.parametrize("kind", PROBLEMS)
def test_closed_form_is_the_run(rule, kind):
    assert_same_path(rule, PROBLEMS[kind])


GRID = {"eta": np.array([[0.1], [0.5]]), "gamma": np.array([0.0, 0.5, 0.9])}
PATHS = [
    (m.heavy_ball.at(**GRID), {}),
    (m.bias_corrected.at(eta=0.1, gamma=np.array([0.5, 0.9])), {}),
    (m.torch_sgd.at(**GRID, dampening=0.3, weight_decay=0.01), {}),
    (m.heavy_ball.at(eta=lambda t: 0.5 / t, gamma=lambda t: (t - 1) / (t + 2)), {}),
    (m.torch_sgd.at(eta=lambda t: GRID["eta"] / t, gamma=GRID["gamma"], dampening=0.3), {}),
    (Rule(textbook).at(eta=0.4), {}),
    (Rule(extragradient).at(eta=0.4), {}),
    (m.nesterov.at(eta=0.4, gamma=0.9), {"start": {"v": [0.3, 0.1, -1.0]}}),
    (m.torch_sgd.at(**GRID), {"start": {"b": np.ones((2, 3, 3))}}),
    (m.heavy_ball.at(eta=0.4, gamma=0.9), {"steps": 0}),
    (m.torch_sgd.at(eta=0.4, gamma=0.9), {"steps": 1}),
    (m.heavy_ball.at(eta=5.0, gamma=0.5), {"steps": 200}),  # growth
    # critical damping, where eigenvectors collapse
    (m.heavy_ball.at(eta=1.0, gamma=0.81), {"problem": m.Quadratic([0.01] * 3), "steps": 500}),
    (m.heavy_ball.at(eta=0.4, gamma=0.5 + 0.5j), {"theta0": (1 + 0j, 2j, 0.5)}),
]


@pytest.mark.parametrize(("rule", "options"), PATHS)
def test_closed_form_is_the_run_off_the_beaten_track(rule, options):
    assert_same_path(rule, **{"problem": PROBLEMS["rotated"]} | options)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"steps": -1}, ValueError, "steps is -1"),
        ({"steps": 3.0}, ValueError, "steps is 3.0"),
        ({"theta0": [1.0, 2.0, 3.0]}, ValueError, "theta0 has shape"),
        ({"theta0": [1.0, math.nan]}, ValueError, "theta0 contains nan"),
        ({"start": {"w": 1.0}}, m.RuleError, "start names 'w'"),
        ({"problem": m.problems.Rosenbrock()}, ValueError, "Quadratic"),
        ({"rule": m.heavy_ball.at(eta=0.1)}, m.RuleError, "gamma open"),
        ({"rule": BALL.at(t=3)}, m.RuleError, "frozen"),
        ({"rule": BALL.at(gamma=0.5j)}, m.RuleError, "complex theta0"),
        ({"rule": Rule(rectified).at(eta=0.1, gamma=0.9)}, m.NotLinear, "not linear"),
    ],
)
def test_closed_form_refuses(change, error, words):
    good = {"rule": BALL, "problem": m.Quadratic([1.0, 2.0]), "theta0": 1.0, "steps": 5}
    with pytest.raises(error, match=words):
        closed_form(**good | change)


@pytest.mark.parametrize("kappa", [10, 100, 1000])
def test_worst_case_at_finite_k_tight(kappa):
    """At Polyak's tuning the worst mode is at an end of the spectrum; rho^k alone is no bound."""
    root, k, steps = math.sqrt(kappa), np.arange(301), 300
    eta, gamma, rho = 4 / (1 + root) ** 2, ((root - 1) / (root + 1)) ** 2, (root - 1) / (root + 1)
    lam = np.concatenate([np.linspace(1, kappa, 400), [kappa]])
    # Two starts: v = 0, and a first step of eta/(1 + gamma) grad.
    short = eta * lam * (1 / (1 + gamma) - 1) / gamma
    for v, factor in ((0 * lam, 1 + rho), (short, (1 - gamma) / (1 + gamma))):
        tuned = m.heavy_ball.at(eta=eta, gamma=gamma)
        path = m.run(tuned, lambda x: lam * x, 1 + 0 * lam, steps, start={"v": v}).theta
        np.testing.assert_allclose(np.abs(path).max(axis=1), rho**k * (1 + k * factor), rtol=1e-8)
        closed = closed_form(tuned, m.Quadratic(lam), 1.0, steps, start={"v": v})
        np.testing.assert_allclose(closed, path, rtol=1e-8, atol=1e-10)


# --- transient growth --------------------------------------------------------------------------------


@pytest.mark.parametrize(("lam", "gamma"), [(0.001, 0.9), (1.0, 0.99), (0.3, 0.2), (3.79, 0.9)])
def test_transient_growth_is_the_largest_power_tight(lam, gamma):
    rule = m.heavy_ball.at(eta=1.0, gamma=gamma)
    matrix = iteration_matrix(rule, lam)
    norms = [np.linalg.norm(np.linalg.matrix_power(matrix, k), 2) for k in range(3000)]
    peak, step = transient_growth(rule, lam)
    assert (peak, step) == (pytest.approx(max(norms), rel=1e-10), int(np.argmax(norms)))


def test_transient_growth_is_a_map_with_infinity():
    peak, step = transient_growth(m.heavy_ball.at(eta=1.0, gamma=[0.5, 0.9, 1.0]), [[0.5], [4.0]])
    assert np.isfinite(peak).tolist() == [[True, True, False], [False, False, False]]
    assert np.array_equal(np.isinf(step), np.isinf(peak))
    with pytest.raises(ValueError, match="powers to decay"):
        transient_growth(m.heavy_ball.at(eta=1.0, gamma=1 - 1e-8), [0.5, 1.0])


# --- times -------------------------------------------------------------------------------------------


def times_by_stepping(rule, eigenvalues, theta0, tol, cap):
    """Hitting and settling times of every cell, the slow way; and where rounding may decide."""
    eigenvalues = np.asarray(eigenvalues, float)
    theta0 = np.broadcast_to(np.asarray(theta0, float), eigenvalues.shape)
    path = m.run(rule, lambda x: eigenvalues * x, theta0, cap, record=("theta",)).theta
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(path, axis=-1)
        inside = norms <= tol * np.linalg.norm(theta0)
        close = np.abs(norms / (tol * np.linalg.norm(theta0)) - 1) < 1e-9
    hit = np.where(inside.any(axis=0), inside.argmax(axis=0), np.inf)
    last = np.where(inside.all(axis=0), -1, cap - (~inside)[::-1].argmax(axis=0))
    return hit, np.where(last >= cap, np.inf, last + 1), close.any(axis=0)


def assert_times(rule, eigenvalues, theta0, tol, cap):
    hit, settled, _ = times_by_stepping(rule, eigenvalues, theta0, tol, cap)
    np.testing.assert_array_equal(hitting_time(rule, eigenvalues, theta0, tol, cap), hit)
    np.testing.assert_array_equal(settling_time(rule, eigenvalues, theta0, tol, cap), settled)
    return hit, settled


MAP = {"eta": np.linspace(0, 0.04, 24)[1:, None], "gamma": np.linspace(0, 1, 30, endpoint=False)}
MODES = [([1, 100], 1), ([1, 100], [1, 0]), ([1, 30, 100], [1, -2, 0.5]), ([100], 1)]
LINE = {"eta": np.linspace(0, 2.5, 40)}
TIMED = [  # several modes, tolerances, caps; then rules that have to be stepped, and an own first step
    *((r.at(**MAP), *modes, 1e-6, 600) for modes in MODES for r in (m.heavy_ball, m.torch_nesterov)),
    *((m.heavy_ball.at(**MAP), [1, 100], 1, tol, 400) for tol in (1e-100, 1e-12, 1e-3, 0.5, 1.0, 3.0)),
    *((m.heavy_ball.at(**LINE, gamma=0.5), [0.2, 1], 1, tol, cap) for tol in (0.5, 1.0) for cap in range(5)),
    *((aggregated((0, 0.9)).at(**LINE), [0.2, 1], 1, tol, cap) for tol in (0.5, 1.0) for cap in (0, 1, 17)),
    *((rule, [0.05, 0.3, 1.0], [1.0, 0.5, -1.0], 1e-4, 3000) for rule in AT.values()),
    *(
        (rule, [1, 100], [1.0, 0.5], 1e-3, 900)
        for rule in (
            m.torch_sgd.at(**MAP, dampening=0.6, weight_decay=0.1),
            m.heavy_ball.at(eta=0.009, gamma=lambda t: 1 - 3 / (t + 2)),
            m.heavy_ball.at(eta=0.009, gamma=lambda t: MAP["gamma"] * (1 - 1 / t)),
            m.bias_corrected.at(eta=MAP["eta"] / 10, gamma=0.8),
            Rule(textbook).at(eta=MAP["eta"]),
            aggregated((0, 0.9)).at(eta=MAP["eta"]),
            Rule(anchored).at(**MAP, keep=2.0),
            Rule(extragradient).at(eta=MAP["eta"]),
        )
    ),
]


@pytest.mark.parametrize(("rule", "eigenvalues", "theta0", "tol", "cap"), TIMED)
def test_times_are_those_of_stepping(rule, eigenvalues, theta0, tol, cap):
    hit, _ = assert_times(rule, eigenvalues, theta0, tol, cap)
    assert cap < 100 or tol < 1e-12 or np.isfinite(hit).any()  # the map has something to say


def test_times_of_a_complex_momentum():
    rule = m.heavy_ball.at(eta=1.0, gamma=np.array([0.3j, 0.5 + 0.2j]))
    inside = np.abs(m.run(rule, lambda x: 0.5 * x, 1 + 0j, 200).theta) <= 1e-3
    np.testing.assert_array_equal(hitting_time(rule, [0.5], 1.0, 1e-3, 200), inside.argmax(axis=0))


@pytest.mark.parametrize("tol", [1e-100, 1e-12, 1e-9, 1e-3, 0.5, 1.0, 3.0])
def test_times_at_any_tolerance(tol):
    assert_times(m.heavy_ball.at(**MAP), [1, 100], [1.0, 1.0], tol, 400)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_times_do_not_depend_on_the_scale(scale):
    at = {"eigenvalues": [0.3, 1.0], "tol": 1e-6, "cap": 400}
    for call in (hitting_time, settling_time):
        assert call(BALL, theta0=scale, **at) == call(BALL, theta0=1.0, **at) < math.inf
        assert call(BALL, theta0=0.0, **at) == 0


@unusual
def test_times_on_the_edges_of_the_map():
    gamma = np.array([0.0, 0.25, 0.81, 0.9, 1.0, 1.05])
    root = np.sqrt(gamma)
    # eta = 0 (nothing moves), both critical dampings, the limit rho = 1, and beyond it
    curves = np.array([0 * gamma, (1 - root) ** 2, (1 + root) ** 2, 2 * (1 + gamma), 3 * (1 + gamma)])
    near = np.array([0.0, 1e-13, 1e-9, 1e-5])[:, None, None]
    for sign in (1, -1):
        rule = m.heavy_ball.at(eta=curves * (1 + sign * near), gamma=gamma)
        assert_times(rule, [1.0], 1.0, 1e-6, 400)
        assert_times(rule, [1.0, 0.3], [1.0, 1e-3], 1e-6, 400)


def test_a_start_near_a_stable_direction_hits_where_others_diverge():
    # Curvature 100 is unstable at these steps, but the start has little or no part of it.
    rule = m.heavy_ball.at(eta=np.linspace(0.026, 0.1, 9), gamma=0.3)
    assert np.isfinite(assert_times(rule, [1, 100], [1.0, 0.0], 1e-6, 900)).all()
    rule = m.heavy_ball.at(eta=np.linspace(0.026, 0.0265, 9), gamma=0.3)
    hit, settled = assert_times(rule, [1, 100], [1.0, 1e-9], 1e-3, 900)
    assert np.isfinite(hit).sum() > np.isfinite(settled).sum() > 0
    # lam eta = 1 sends gradient descent to the minimizer at once.
    assert hitting_time(m.gradient_descent.at(eta=1.0), [1.0], 1.0, 1e-6, 900) == 1


@pytest.mark.parametrize(
    ("r1", "r2", "ratio", "hit"),
    [
        (0.9, 0.5, -((0.9 / 0.5) ** 10), 10),  # a zero crossing, alone
        (0.9, -0.85, (0.9 / 0.85) ** 11, 11),  # one among the odd steps
        (-0.99, 0.9, -((0.99 / 0.9) ** 6), 6),
        (-2.4, -0.35, math.inf, 14),  # unstable, and no part of r1: rounding grows, but too late
    ],
)
def test_a_hit_on_the_way_of_a_real_mode(r1, r2, ratio, hit):
    """theta_t is r1^t + ratio r2^t, whatever it was before the first step."""
    to = r2 if ratio == math.inf else (r1 + ratio * r2) / (1 + ratio)
    rule = Rule(m.heavy_ball.step)

    @rule.first
    def placed(theta, v, grad, *, eta, gamma):
        return to * theta, (1 - to) * theta

    rule = rule.at(eta=1.0, gamma=r1 * r2)
    assert spectral_radius(rule, 1 + r1 * r2 - r1 - r2) == pytest.approx(max(abs(r1), abs(r2)))
    assert hitting_time(rule, [1 + r1 * r2 - r1 - r2], 1.0, 1e-6, 300) == hit


@unusual
@pytest.mark.parametrize("seed", range(40))
def test_times_of_random_settings_are_those_of_stepping(seed, monkeypatch):
    """Thousands of cells; one whose norm comes within rounding of the tolerance may be read either way."""
    rng = np.random.default_rng(seed)
    rule = SHIPPED[("heavy_ball", "nesterov", "torch_sgd", "polyak_two_step")[seed % 4]]
    gamma = 1 - 10 ** rng.uniform(-4, 0, 9) * rng.choice([1, 1, 1, -0.1], 9)
    rule = rule.at(eta=rng.uniform(0, 4, (7, 1)) * rng.choice([1, 0.1]), gamma=gamma)
    modes, cap = rng.integers(1, 4), int(rng.choice([3, 10, 100, 700, 1500]))
    at = (rule, 10 ** rng.uniform(-3, 0, modes), rng.standard_normal(modes), 10 ** rng.uniform(-9, 0), cap)
    hit, settled, close = times_by_stepping(*at)
    assert close.mean() < 0.1
    for _ in ("leaping", "stepping"):
        np.testing.assert_array_equal(hitting_time(*at)[~close], hit[~close])
        np.testing.assert_array_equal(settling_time(*at)[~close], settled[~close])
        monkeypatch.setattr(times, "can_leap", lambda clock: False)


def test_leaps_look_at_few_steps(monkeypatch):
    """A map up to cap 2,000 looks at a tenth of its steps; a hundred times the cap, at twice as many."""
    looked, look = [], leaps._look

    def counting(cells, *ask):
        looked.append(cells.place.size * leaps._LOOK)
        look(cells, *ask)

    monkeypatch.setattr(leaps, "_look", counting)
    eta, gamma = np.linspace(0, 0.04, 61)[1:, None], np.linspace(0, 1, 60, endpoint=False)
    for call in (hitting_time, settling_time):
        counts = []
        for cap in (2_000, 200_000):
            looked.clear()
            call(m.heavy_ball.at(eta=eta, gamma=gamma), [1, 100], 1.0, 1e-6, cap)
            counts.append(sum(looked))
        assert counts[0] < eta.size * gamma.size * 2_000 / 10
        assert counts[1] < 2 * counts[0]


SLOW = {
    "overdamped": (m.nesterov.at(eta=0.006, gamma=0.3), [5e-6]),
    "slow swing": (m.heavy_ball.at(eta=1e-3, gamma=1 - 1e-6), [0.1]),
    "modes that fade alike": (m.gradient_descent.at(eta=1.0), [1e-7, 1.001e-7, 1.002e-7]),
}


@pytest.mark.parametrize("slow", SLOW)
def test_what_settles_after_millions_of_steps_is_not_stepped(slow, monkeypatch):
    monkeypatch.setattr(leaps, "MOST", 3e6)  # 46 looks
    rule, eigenvalues = SLOW[slow]
    settled = settling_time(rule, eigenvalues, 1.0, 1e-5, 10**10)
    predicted = np.log(1e-5) / np.log(m.worst_rate(rule, eigenvalues[0], eigenvalues[-1]))
    assert settled == pytest.approx(predicted, rel=0.06) and settled > 10**7


@pytest.mark.parametrize("call", [hitting_time, settling_time])
@pytest.mark.parametrize("rule", [BALL.at(gamma=0.99999), m.RULES["aggregated"].at(eta=0.1)], ids=str)
def test_a_count_that_takes_seconds_shows_how_far_it_is_and_can_be_stopped(call, rule, monkeypatch):
    told = []

    class Bar:
        n = 0

        def update(self, more):
            self.n += more
            told.append(self.n)
            if len(told) == 3:
                raise KeyboardInterrupt

        def close(self):
            told.append("closed")

    monkeypatch.setattr(times, "progress_bar", lambda total, unit: told.append(total) or Bar())
    monkeypatch.setattr(times.time, "monotonic", iter(range(100)).__next__)
    monkeypatch.setattr(leaps, "_leap", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        call(rule, [1e-4], 1.0, 1e-9, 10**6)
    assert told[0] == 10**6 and 0 < told[1] < told[2] < 10**6 and told[3:] == ["closed"]


def test_a_count_that_would_take_hours_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="lower cap"):
        settling_time(m.RULES["aggregated"].at(eta=0.1), [1.0], 1.0, 1e-6, 10**9)
    # Leaps make the cap cheap, but for a mode that swings for ever.
    assert settling_time(BALL, [1.0], 1.0, 1e-6, 10**15) < 400
    monkeypatch.setattr(leaps, "MOST", 1e6)
    with pytest.raises(ValueError, match="lower cap"):
        hitting_time(m.heavy_ball.at(eta=1.0, gamma=1.0), [0.3], 1.0, 1e-9, 10**9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tol": 0}, "tol is 0"),
        ({"tol": math.nan}, "tol is nan"),
        ({"cap": -1}, "cap is -1"),
        ({"cap": 2.0}, "cap is 2.0"),
        ({"tol": "small"}, "tol is 'small'"),
        ({"tol": [0.1, 0.2]}, "give one finite number"),
        ({"theta0": math.nan}, "theta0 contains nan"),
        ({"theta0": 1j}, "theta0 is 1j; give real"),
        ({"theta0": [1.0, 2.0, 3.0]}, "give 2 numbers"),
        ({"eigenvalues": [[1.0]]}, "eigenvalues have shape"),
        ({"eigenvalues": [1.0, math.inf]}, "eigenvalues contains inf; give finite"),
        ({"rule": BALL.at(eta=[0.1, 0.2], gamma=[0.1, 0.2, 0.3])}, "broadcast"),
        ({"rule": m.heavy_ball.at(eta=0.1)}, "gamma open"),
        ({"rule": BALL.at(t=3)}, "frozen"),
        ({"rule": Rule(rectified).at(eta=0.1, gamma=0.9)}, "not linear"),
    ],
)
def test_times_refuse_with_a_sentence(change, words):
    good = {"rule": BALL, "eigenvalues": [1.0, 2.0], "theta0": 1.0, "tol": 1e-3, "cap": 10}
    for call in (hitting_time, settling_time):
        with pytest.raises(ValueError, match=words):
            call(**good | change)


def test_what_is_no_number_is_unstable_or_refused():
    assert regimes(m.heavy_ball.at(eta=1e200, gamma=0.9), 1e200) == "unstable"
    with pytest.raises(m.RuleError, match="divides by zero"):
        stability_limit(m.accsgd.at(kappa=0, xi=1, delta=0.1))
