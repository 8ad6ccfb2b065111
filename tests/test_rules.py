"""The contract: what every rule of the registry owes, whoever wrote it, and what its card claims."""

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
import sympy

from momentum_lib import rules as r
from momentum_lib.definition import CARD_FIELDS, RULES, RuleError
from momentum_lib.published import value
from momentum_lib.runner import run
from momentum_lib.spectrum.probing import iteration_matrix, probe
from momentum_lib.spectrum.stability import spectral_radius, stability_limit

STEPS = [
    pytest.param(rule, step, id=f"{name}{'' if step is rule.step else '-first'}")
    for name, rule in RULES.items()
    for step in dict.fromkeys((rule.step, rule.first_step))
]
every_step = pytest.mark.parametrize(("rule", "step"), STEPS)
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=repr)
EXACT_STATE = [Fraction(5, 7), Fraction(-3, 5), Fraction(2, 3), Fraction(-7, 4), Fraction(1, 9)]


def exact_settings(rule):
    """A generic fraction for every letter: nothing cancels, and mu < L."""
    return {name: 3 if name == "t" else Fraction(2 * i + 3, 17) for i, name in enumerate(rule.hyper)}


def settings(rule, t=3):
    return {name: t if name == "t" else float(value) for name, value in exact_settings(rule).items()}


def at(rule, **letters):
    """The rule at generic numbers, its count left to the run."""
    return rule.at(**{n: v for n, v in settings(rule).items() if n != "t"} | letters)


def random_state(rule, shape=(), seed=0, dtype=float):
    return list(np.random.default_rng(seed).standard_normal((len(rule.slots), *shape)).astype(dtype))


def slope(x):
    """A linear oracle with a push: curvature 3/4, gradient 1/4 at zero, exact on every algebra."""
    return (3 * x) / 4 + (x**0 if isinstance(x, Fraction | sympy.Basic) else 1) / 4


def assert_close(got, wanted, tolerance=1e-13):
    """Relative to the largest slot: one slot may cancel to near nothing."""
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    assert np.abs(got - wanted).max() <= tolerance * max(1.0, np.abs(wanted).max())


# --- what a step owes ---------------------------------------------------------------------------------


@every_step
def test_is_pure(rule, step):
    """Read-only inputs pass, nothing is changed, and the same call gives the same answer."""

    def frozen(array):
        array.flags.writeable = False
        return array

    state = [frozen(s) for s in random_state(rule, (2, 3))]
    letters = {n: v if n == "t" else frozen(np.full((2, 1), v)) for n, v in settings(rule).items()}
    before = [s.copy() for s in state]
    once, twice = (rule.apply(step, state, lambda x: frozen(slope(frozen(x))), letters) for _ in range(2))
    assert all(map(np.array_equal, [*state, *once], [*before, *twice]))


@every_step
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
def test_keeps_shape_and_dtype(rule, step, dtype, shape):
    # Between steps the runner lets no NumPy scalar widen the arrays; a scalar state is a NumPy scalar itself.
    made = rule.apply(step, [s[()] for s in random_state(rule, shape, dtype=dtype)], slope, settings(rule))
    assert [(np.shape(m), np.asarray(m).dtype) for m in made] == [(shape, np.dtype(dtype))] * len(rule.slots)


@every_step
def test_superposition(rule, step):
    """step(a s1 + s2) with gradients a g1 + g2 is a step(s1) + step(s2)."""
    one, two, a = random_state(rule, (4,), 1), random_state(rule, (4,), 2), -1.7

    def answer(state, push):
        return np.array(rule.apply(step, state, lambda x: 0.3 * x + push, settings(rule)))

    mixed = answer([a * s + t for s, t in zip(one, two, strict=True)], a * 2.0 + 5.0)
    assert_close(mixed, a * answer(one, 2.0) + answer(two, 5.0))


@every_rule
def test_a_grid_equals_a_loop(rule):
    """Letters of shapes (2, 1) and (3,) in turn: each cell is a run of its own."""
    rng = np.random.default_rng(4)
    grid = {n: rng.uniform(0.1, 0.9, (2, 1) if i % 2 else (3,)) for i, n in enumerate(rule.hyper) if n != "t"}
    at_once = run(rule.at(**grid), slope, [1.0, -2.0], 20)
    shape = at_once.theta.shape[1:-1]
    for cell in np.ndindex(shape):
        here = {n: np.broadcast_to(v, shape)[cell] for n, v in grid.items()}
        one = run(rule.at(**here), slope, [1.0, -2.0], 20)
        assert_close(at_once.theta[(slice(None), *cell)], one.theta)
        assert_close(at_once.queries[..., *cell, :], one.queries)


@every_rule
def test_the_minimizer_is_a_fixed_point_at_default_settings(rule):
    still = run(at(rule, **rule.defaults), lambda x: 3.0 * (x - 1.5), 1.5, 5)
    assert_close(still.theta, np.full(6, 1.5), 1e-15)


# --- every algebra ------------------------------------------------------------------------------------


@every_step
def test_symbols_and_fractions_are_exact(rule, step):
    """Wherever the step has a rational answer, fractions give it; a root, or a float inside, rounds."""
    symbols = sympy.symbols(rule.slots)
    letters = {n: sympy.Symbol(n, positive=True) for n in rule.hyper}
    formulas = rule.apply(step, symbols, slope, letters)
    numbers, exact = EXACT_STATE[: len(rule.slots)], exact_settings(rule)
    values = dict(zip(symbols, numbers, strict=True)) | {letters[n]: v for n, v in exact.items()}
    values = {letter: sympy.Rational(number) for letter, number in values.items()}
    assert_close(
        [sympy.N(m.subs(values), 30) for m in formulas],
        rule.apply(step, [float(x) for x in numbers], slope, settings(rule)),
    )
    as_symbols = [{n: sympy.Rational(v) for n, v in exact.items()}, [sympy.Rational(n) for n in numbers]]
    true = rule.apply(step, as_symbols[1], slope, as_symbols[0])
    for got, wanted in zip(rule.apply(step, numbers, slope, exact), true, strict=True):
        if wanted.is_Rational:
            assert (type(got), got) == (Fraction, Fraction(int(wanted.p), int(wanted.q)))
        else:  # SymPy keeps a root, or meets a float
            assert float(got) == pytest.approx(float(wanted), rel=1e-14)


@every_step
def test_runs_on_jax(rule, step):
    jax = pytest.importorskip("jax", reason="JAX is not installed (extra learning)")
    state = random_state(rule, (3,))
    with jax.enable_x64(True):
        made = jax.jit(lambda s: rule.apply(step, s, slope, settings(rule)))(
            list(map(jax.numpy.asarray, state))
        )
        assert {(type(m), str(m.dtype)) for m in made} == {(type(jax.numpy.ones(1)), "float64")}
    assert_close(made, rule.apply(step, state, slope, settings(rule)))


@every_step
def test_runs_on_torch(rule, step):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra frameworks)")
    state = random_state(rule, (3,))
    made = rule.apply(step, list(map(torch.from_numpy, state)), slope, settings(rule))
    assert {(type(m), m.dtype) for m in made} == {(torch.Tensor, torch.float64)}
    assert_close(torch.stack(made), rule.apply(step, state, slope, settings(rule)))


@every_step
def test_runs_on_pepit_points(rule, step):
    """A step on PEPit's points is the combination of points that the step on unit vectors says."""
    pepit = pytest.importorskip("PEPit", reason="PEPit is not installed (extra worst-cases)")
    from PEPit.functions import SmoothConvexFunction

    problem = pepit.PEP()  # starts the count of points anew
    points, push = [pepit.Point() for _ in rule.slots], pepit.Point()
    made = rule.apply(step, points, lambda x: 0.75 * x + push, settings(rule))
    *units, unit_push = np.eye(len(points) + 1)
    wanted = rule.apply(step, units, lambda x: 0.75 * x + unit_push, settings(rule))
    for combination, numbers in zip(made, wanted, strict=True):
        weights = [combination.decomposition_dict.get(leaf, 0.0) for leaf in (*points, push)]
        assert_close(weights, numbers)
    f = problem.declare_function(SmoothConvexFunction, L=1)
    made = rule.apply(step, rule.init(problem.set_initial_point()), f.gradient, settings(rule))
    assert all(isinstance(p, pepit.Point) for p in made), "from rest, with PEPit's own gradient"
    assert set(rule.init(sympy.Symbol("theta"))) <= {sympy.Symbol("theta"), sympy.Integer(0)}


# --- the card -----------------------------------------------------------------------------------------


def reads(rule):
    """The points at which the card says the gradient is read, as SymPy expressions."""
    letters = {n: sympy.Symbol(n) for n in (*rule.slots, *rule.hyper)}
    return [sympy.sympify(text, locals=letters) for text in rule.card["Gradient read at"].split(";")], letters


@every_rule
def test_the_card_is_complete(rule):
    assert set(rule.card) == {"Summary", "Display", *CARD_FIELDS}
    assert all(rule.card.values())
    assert rule.card["Summary"].endswith(".")
    assert rule.card["Reports"].startswith(rule.slots[0])
    # An author and a year, or the dotted name of a library's class.
    assert re.search(r"[A-Z]\w+( et al\.)? (18|19|20)\d\d|[a-z]+\.\w+\.[A-Z]\w+", rule.card["Source"])


@every_step
def test_the_gradient_is_read_where_the_card_says(rule, step):
    """By the step itself, by the probe, and by a run."""
    wanted, letters = reads(rule)
    asked = []

    def grad(x):
        asked.append(x)
        return sympy.Symbol(f"g{len(asked)}")

    rule.apply(step, [letters[n] for n in rule.slots], grad, {n: letters[n] for n in rule.hyper})
    assert [sympy.simplify(a - w) for a, w in zip(asked, wanted, strict=True)] == [0] * len(wanted)
    if "where the gradient is read" in rule.card["Reports"]:
        assert wanted == [letters[rule.slots[0]]]
    values = {letters[n]: v for n, v in settings(rule).items()}
    rows = [[float(w.subs(values).coeff(letters[n])) for n in rule.slots] for w in wanted]
    assert_close(probe(rule.at(**settings(rule))).C, rows)
    made = run(at(rule), slope, [1.0, -2.0], 6)
    queries = made.queries if len(wanted) > 1 else made.queries[:, None]
    for i, where in enumerate(wanted):
        there = sympy.lambdify(letters.values(), where)
        for t in range(6):
            now = (*(made.slots[n][t] for n in rule.slots), *settings(rule, t + 1).values())
            assert_close(queries[t, i], there(*now))


def spread(declared, rule):
    """What a card declares slot by slot; v_i stands for v1, v2, ..."""
    told = {n: declared.get(n, declared.get(re.sub(r"\d+$", "_i", n))) for n in rule.slots}
    assert set(declared) <= {*rule.slots, *(re.sub(r"\d+$", "_i", n) for n in rule.slots)}
    return {n: value for n, value in told.items() if value is not None}


@every_rule
def test_units(rule):
    """Theta in new units, the gradient in others: the slots scale as the card says.

    A letter may carry a power of [theta/gradient]; some choice of powers must do, and none can where a
    slot's unit is declared wrongly.
    """
    declared = spread(dict(re.findall(r"(\w+) \[(theta|gradient)\]", rule.card["Units"])), rule)
    assert tuple(declared) == rule.slots
    c, d = 8.0, 2.0
    scale = [c if declared[n] == "theta" else d for n in rule.slots]
    letters, state = settings(rule), random_state(rule, (5,))
    names = [n for n in letters if n != "t"]

    def agrees(step, powers):
        scaled = letters | {n: letters[n] * (c / d) ** p for n, p in zip(names, powers, strict=True)}
        old = rule.apply(step, state, slope, letters)
        larger = [k * s for k, s in zip(scale, state, strict=True)]
        new = rule.apply(step, larger, lambda x: d * slope(x / c), scaled)
        return np.allclose(new, [k * s for k, s in zip(scale, old, strict=True)], rtol=1e-12, atol=1e-12)

    assert any(
        all(agrees(step, powers) for step in (rule.step, rule.first_step))
        for powers in itertools.product((0, 1, -1), repeat=len(names))
    )


@every_rule
def test_start_and_look_alikes_are_what_is_there(rule):
    """The start is the state at rest; rules, slots and letters named in the card exist."""
    text = rule.card["Start"]
    start = spread(dict(re.findall(r"(\w+) = (\w+)", text.split(";")[0])), rule)
    rest = {n: "theta" if point else "0" for n, point in zip(rule.slots[1:], rule.at_rest[1:], strict=True)}
    assert (start or text) == (rest or "nothing to start")
    assert ("the first step" in text) == rule.has_first_step
    text = rule.card["Not to be confused with"]
    known = {*RULES, *itertools.chain.from_iterable((*one.slots, *one.hyper) for one in RULES.values())}
    assert not [word for word in re.findall(r"[A-Za-z]\w*_\w+", text) if word not in known]
    assert [name for name in RULES if name != rule.name and re.search(rf"\b{name}\b", text)]


# --- what the literature says of them -----------------------------------------------------------------

LAM, THETA0 = np.array([0.05, 0.3, 1.0]), np.array([1.0, -2.0, 0.5])


def iterates(rule, steps=80, grad=lambda theta: LAM * theta):
    return run(rule, grad, THETA0, steps).theta


def polynomial(rule):
    """The characteristic polynomial in z of one mode, curvature lam, coefficients expanded."""
    z, lam = sympy.symbols("z lam")
    matrix = iteration_matrix(rule.at(**{n: sympy.Symbol(n) for n in rule.hyper if n != "t"}), lam)
    return sympy.expand(matrix.charpoly(z).as_expr())


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (r.gradient_descent, "z - (1 - eta*lam)"),
        (r.heavy_ball, "z**2 - (1 + gamma - eta*lam)*z + gamma"),
        (r.nesterov, "z**2 - (1 + gamma)*(1 - eta*lam)*z + gamma*(1 - eta*lam)"),
        (r.torch_sgd, "z**2 - (1 + gamma - (1 - dampening)*eta*(lam + weight_decay))*z + gamma"),
        (r.keras_sgd, "z**2 - (1 + gamma - eta*lam - eta*weight_decay)*z + gamma*(1 - eta*weight_decay)"),
        (r.qhm, "z**2 - (1 + beta - alpha*lam*(1 - nu*beta))*z + beta*(1 - alpha*lam*(1 - nu))"),
        (r.mass, "z**2 - ((1 + gamma)*(1 - eta1*lam) + eta2*lam)*z + gamma*(1 - eta1*lam)"),
        (r.robust_momentum, "z**2 - (1 + beta - alpha*lam*(1 + gamma))*z + (beta - alpha*lam*gamma)"),
        (r.triple_momentum, "z*(z**2 - (1 + beta - alpha*lam*(1 + gamma))*z + (beta - alpha*lam*gamma))"),
        (r.primal_average, "z**2 - (2 - c - c*eta*lam)*z + (1 - c)"),
        (r.optimistic_gradient, "z**2 - (1 - (1 + gamma)*eta*lam)*z - gamma*eta*lam"),
        (r.ema_mixture, "(z - 1)*(z - beta1)*(z - beta3)"
         " + eta*lam*z*((1 - beta1)*(z - beta3) + alpha*(1 - beta3)*(z - beta1))"),
        (r.schedule_free, "(z - 1)*(z - 1 + eta*lam*(1 - beta))"),
        (r.averaged_heavy_ball, "(z - 1)*(z**2 - (1 + gamma - eta*lam)*z + gamma)"),
    ],
    ids=str,
)  # fmt: skip
def test_polynomials(rule, text):
    """A rule that counts is read as t → ∞, where a mean of all steps stands still: its root is 1."""
    letters = {n: sympy.Symbol(n) for n in ("z", "lam", *rule.hyper)}
    assert sympy.expand(polynomial(rule) - sympy.sympify(text, locals=letters)) == 0


def test_aggregated_momentum_is_a_family():
    """(z-1) prod(z - gamma_i) + (h/K) sum_i z prod_{j != i}(z - gamma_j); limit 2K / sum 1/(1 + gamma_i)."""
    gammas = sympy.symbols("gamma1:4")
    z, h = sympy.Symbol("z"), sympy.Symbol("eta") * sympy.Symbol("lam")
    others = [sympy.prod(z - g for g in gammas if g != one) for one in gammas]
    wanted = (z - 1) * sympy.prod(z - g for g in gammas) + h / 3 * z * sum(others)
    assert sympy.expand(polynomial(r.aggregated(gammas)) - wanted) == 0
    published = RULES["aggregated"]
    assert stability_limit(published) == pytest.approx(2.957371920219007, rel=1e-12)
    assert stability_limit(r.aggregated((0, 0.9, 0.99, 0.999))) == pytest.approx(
        3.1632074969779493, rel=1e-12
    )
    assert (repr(published), published.slots) == ("aggregated((0, 0.9, 0.99))", ("theta", "v1", "v2", "v3"))
    assert r.aggregated(value("lucas-2019/gammas")) == published
    exact = r.aggregated((Fraction(1, 2), Fraction(9, 10)))
    made = exact(Fraction(1), Fraction(2), Fraction(3), lambda x: x, eta=Fraction(1, 4))
    assert made == (Fraction(-11, 10), Fraction(5, 4), Fraction(59, 20))


REFUSED = {
    (): "aggregated needs at least one rate",
    (0, 1): r"aggregated got 1; every rate must lie in \[0, 1\)",
    (-0.1,): r"aggregated got -0\.1; every rate",
    (float("nan"),): "aggregated got nan",
    0.9: r"aggregated takes several rates, got 0\.9; write aggregated\(\(0, 0\.9\)\)",
    ("fast",): "aggregated got 'fast', which is not a number",
}


@pytest.mark.parametrize(("gammas", "sentence"), REFUSED.items())
def test_rates_outside_the_unit_interval_are_refused(gammas, sentence):
    with pytest.raises(RuleError, match=sentence):
        r.aggregated(gammas)


A, B = 0.8, 0.6
HEAVY, NESTEROV = r.heavy_ball.at(eta=A, gamma=B), r.nesterov.at(eta=A, gamma=B)
KIDAMBI = {"alpha": 0.035 * 10 / 1.7, "beta": (30 - 0.49 * 4) / (30 + 0.7 * 4), "nu": 1.8 / 3.5}
ROBUST = {"alpha": A, "beta": B, "gamma": 0.3}
MEAN = r.averaged_heavy_ball.at(eta=A, gamma=0, k=0)
#: The same reported iterates, theirs and ours, while the letters stay.
SAME_ITERATES = [
    (r.qhm.at(alpha=A, beta=B, nu=0), r.gradient_descent.at(eta=A)),
    (r.qhm.at(alpha=A, beta=B, nu=1), r.ema.at(eta=A, gamma=B)),
    (r.qhm.at(alpha=A, beta=B, nu=B), r.torch_nesterov.at(eta=A * (1 - B), gamma=B)),
    (r.mass.at(eta1=A, eta2=0, gamma=B), NESTEROV),
    (r.robust_momentum.at(alpha=A, beta=B, gamma=B), NESTEROV),
    (r.robust_momentum.at(alpha=A, beta=B, gamma=0), HEAVY),
    (r.triple_momentum.at(**ROBUST, delta=0), r.robust_momentum.at(**ROBUST)),
    (r.primal_average.at(eta=A, c=1 - B), r.heavy_ball.at(eta=A * (1 - B), gamma=B)),
    (r.aggregated((B,)).at(eta=A), HEAVY),
    (r.ogm.at(alpha=A, beta=B, gamma=0), r.torch_nesterov.at(eta=A, gamma=B)),
    (r.torch_nesterov.at(eta=A, gamma=B), r.keras_nesterov.at(eta=A, gamma=B)),
    (r.optimistic_gradient.at(eta=A, gamma=0), r.gradient_descent.at(eta=A)),
    (r.ema_mixture.at(eta=A, alpha=0, beta1=B, beta3=0.9), r.ema.at(eta=A, gamma=B)),
    (r.ema_mixture.at(eta=A, alpha=4.0, beta1=B, beta3=0.9), r.aggregated((B, 0.9)).at(eta=0.8 * A)),
    (r.schedule_free.at(eta=A, beta=0), MEAN),
    (r.schedule_free.at(eta=A, beta=1), r.primal_average.at(eta=A, c=lambda t: 1 / t)),
    (r.accsgd.at(delta=0.1, kappa=30, xi=4), r.qhm.at(**KIDAMBI)),
    (r.pid.at(k_p=-0.3, k_i=A, k_d=0.5, beta=0.625), r.qhm.at(alpha=A, beta=0.625, nu=0.09 / (A * 0.5))),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME_ITERATES, ids=repr)
def test_same_iterates(one, other):
    """The identities of the cards, on a quadratic and on a problem that is none."""
    for grad in (lambda x: LAM * x, lambda x: x / (1 + x * x)):
        ours, theirs = iterates(one, grad=grad), iterates(other, grad=grad)
        assert np.abs(ours - theirs).max() <= 1e-13
        assert np.abs(ours[-1]).max() < np.abs(ours[0]).max()


def test_mass_and_accsgd_are_the_authors_code():
    """MaSS: v = (1-a) v + a u - lr/(a k) g; w = u - lr g; u = (a v + w)/(1 + a).

    AccSGD, with its small constant: two averages of a long and a short step.
    """
    lr, a, k = (value(f"liu-2020/{n}") for n in ("eta", "alpha", "kappa"))
    w = u = v = THETA0
    theirs = [w]
    for _ in range(60):
        g = LAM * u
        v = (1 - a) * v + a * u - lr / (a * k) * g
        w = u - lr * g
        u = (a * v + w) / (1 + a)
        theirs.append(w)
    ours = iterates(r.mass.at(eta1=lr, gamma=(1 - a) / (1 + a), eta2=lr * (1 - 1 / k) / (1 + a)), 60)
    assert ours == pytest.approx(np.array(theirs), rel=1e-12, abs=1e-14)

    lr, c, kappa, xi = 0.1, *(value(f"kidambi-2018/{n}") for n in ("constant", "kappa", "xi"))
    a = 1 - c * c * xi / kappa
    x = w = THETA0
    theirs = [x]
    for _ in range(60):
        g = LAM * x
        w = a * w + (1 - a) * (x - lr * kappa / c * g)
        x = c / (c + 1 - a) * (x - lr * g) + (1 - a) / (c + 1 - a) * w
        theirs.append(x)
    ours = iterates(r.accsgd.at(delta=lr, kappa=kappa, xi=xi), 60)
    assert ours == pytest.approx(np.array(theirs), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("kappa", [1.0, 2.0, 100.0])
def test_chebyshev_is_the_best_polynomial(kappa):
    """Tight (==): the worst residual over [mu, L] after t steps is 1/T_t((kappa+1)/(kappa-1))."""
    lam, t = np.linspace(1, kappa, 2001), np.arange(13)
    theta = run(r.chebyshev.at(mu=1.0, L=kappa), lambda x: lam * x, np.ones_like(lam), 12).theta
    root = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
    best = 2 * root**t / (1 + root ** (2 * t))
    assert np.abs(theta).max(axis=1) == pytest.approx(best, rel=1e-9, abs=1e-14)


def test_chebyshev_momentum_follows_the_recurrence():
    """omega_{t+1} = 1/(1 - r^2 omega_t/4) from omega_1 = 2, and at t → infinity the rule is Polyak's."""
    L, omega, ratio = 30.0, 2.0, 29 / 31
    rule = r.chebyshev.at(mu=1.0, L=L)
    for t in range(2, 40):
        omega = 1 / (1 - ratio * ratio * omega / 4)
        assert rule(0.0, 1.0, lambda x: 0 * x, t=t)[0] == pytest.approx(1 - omega, rel=1e-12)
    gamma, eta = ((np.sqrt(L) - 1) / (np.sqrt(L) + 1)) ** 2, 4 / (1 + np.sqrt(L)) ** 2
    polyak = r.polyak_two_step.at(eta=eta, gamma=gamma)
    assert iteration_matrix(rule, LAM) == pytest.approx(iteration_matrix(polyak, LAM), rel=1e-12)


@pytest.mark.parametrize("kappa", [10.0, 100.0])
def test_triple_momentum_rate(kappa):
    """Upper (<=): the iteration matrix at the published setting contracts by 1 - 1/sqrt(kappa) on [mu, L]."""
    rho = 1 - 1 / np.sqrt(kappa)
    beta, gamma = rho**2 / (2 - rho), rho**2 / ((1 + rho) * (2 - rho))
    rule = r.triple_momentum.at(alpha=(1 + rho) / kappa, beta=beta, gamma=gamma, delta=rho**2 / (1 - rho**2))
    radius = np.abs(np.linalg.eigvals(iteration_matrix(rule, np.linspace(1, kappa, 400)))).max(axis=-1)
    assert radius.max() <= rho + 1e-7  # a double eigenvalue: accurate to the root of the rounding
    assert radius[0] == pytest.approx(rho, abs=1e-7)


@pytest.mark.parametrize(("n", "bound"), [(1, 1 / 8), (5, 0.0185881), (10, 0.00628648), (20, 0.00190443)])
def test_ogm_meets_its_bound(n, bound):
    """Tight (==): f - f* = L R^2/(2 s_n^2), attained by L x^2/2.

    s_0 = 1, s_{i+1} = (1 + sqrt(1 + 4 s_i^2))/2, the last with 8 for 4.
    """
    s = [1.0]
    while len(s) <= n:
        s.append((1 + np.sqrt(1 + (8 if len(s) == n else 4) * s[-1] ** 2)) / 2)
    assert 1 / (2 * s[n] ** 2) == pytest.approx(bound, rel=1e-5)
    rule = r.ogm.at(alpha=1.0, beta=lambda t: (s[t - 1] - 1) / s[t], gamma=lambda t: s[t - 1] / s[t])
    assert run(rule, lambda x: x, 1.0, n).theta[-1] ** 2 / 2 == pytest.approx(1 / (2 * s[n] ** 2), rel=1e-12)


@pytest.mark.parametrize("q", [0.1, 0.01])
def test_item_meets_its_bound(q):
    """Tight (==): |z_n - x*|^2 = R^2/(1 + q A_n), attained by a quadratic; upper (<=) on every other."""
    n, a = 12, [0.0]
    for _ in range(n):
        a.append(((1 + q) * a[-1] + 2 * (1 + np.sqrt((1 + a[-1]) * (1 + q * a[-1])))) / (1 - q) ** 2)
    rule = r.item.at(
        eta=1.0,
        q=q,
        beta=lambda t: a[t - 1] / ((1 - q) * a[t]),
        delta=lambda t: ((1 - q) ** 2 * a[t] - (1 + q) * a[t - 1]) / (2 * (1 + q + q * a[t - 1])),
    )
    lam, bound = np.linspace(q, 1, 300), 1 / (1 + q * np.array(a))
    worst = (run(rule, lambda x: lam * x, np.ones_like(lam), n).theta ** 2).max(axis=1)
    assert (worst <= bound * (1 + 1e-12)).all()
    assert worst == pytest.approx(bound, rel=1e-12)


# --- newer members, beside a reference implementation -------------------------------------------------


def iterates_of_optax(optimizer, steps=80, report=lambda state, params: params):
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    with jax.enable_x64(True):
        params = jax.numpy.asarray(THETA0)
        state, path = optimizer(optax).init(params), [THETA0]
        for _ in range(steps):
            updates, state = optimizer(optax).update(LAM * params, state, params)
            params = optax.apply_updates(params, updates)
            path.append(np.asarray(report(state, params)))
    return np.array(path)


@pytest.mark.parametrize("gamma", [1.0, 0.4])
def test_the_optimistic_gradient_is_optaxs_from_its_first_step_on(gamma):
    theirs = iterates_of_optax(lambda optax: optax.optimistic_gradient_descent(0.5, beta=gamma))
    ours = iterates(r.optimistic_gradient.at(eta=0.5, gamma=gamma))
    assert ours == pytest.approx(theirs, rel=1e-13, abs=1e-15)


def test_the_optimistic_gradient_ends_a_game_that_gradient_descent_never_ends():
    """One player lowers x y, the other raises it; and the stability limit on a bowl is 2/(1 + 2 gamma)."""
    game = lambda p: np.array([p[1], -p[0]])  # noqa: E731
    ends = [run(rule, game, [1.0, 1.0], 300).theta[-1] for rule in (
        r.gradient_descent.at(eta=0.3), r.optimistic_gradient.at(eta=0.3, gamma=1.0)
    )]  # fmt: skip
    assert np.linalg.norm(ends[0]) > 1e3 and np.linalg.norm(ends[1]) < 1e-5
    assert stability_limit(r.optimistic_gradient.at(gamma=1.0)) == pytest.approx(2 / 3, rel=1e-12)


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_schedule_free_is_optaxs(beta):
    """Whose parameters are where the gradient is read; what is reported is worked out of them."""
    theirs = iterates_of_optax(
        lambda optax: optax.contrib.schedule_free_sgd(0.5, b1=beta),
        report=lambda state, params: (params - (1 - beta) * state.z) / beta,
    )
    assert iterates(r.schedule_free.at(eta=0.5, beta=beta)) == pytest.approx(theirs, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.7])
def test_schedule_free_falls_as_a_power_of_the_steps(beta):
    """Asymptotic, t^(-1/(1 - beta)) at every curvature; where that power is whole its factor vanishes."""
    rule = r.schedule_free.at(eta=0.7, beta=beta)
    theta = iterates(rule, 8000)
    slope = np.log2(np.abs(theta[8000] / theta[4000]))
    assert slope == pytest.approx(np.full(3, -1 / (1 - beta)), rel=0.05)
    assert spectral_radius(rule, LAM) == pytest.approx(np.ones(3)), "slower than any geometric rate"


@pytest.mark.parametrize("k", [0, 1, 3])
def test_an_average_of_points_is_the_weighted_mean(k):
    """Of heavy ball's own points; x_s weighs s (s + 1) ... (s + k - 1), all alike at k = 0."""
    points = iterates(r.heavy_ball.at(eta=0.5, gamma=0.7))[1:]
    weights = np.prod([np.arange(1.0, 81) + i for i in range(k)], axis=0) * np.ones(80)
    means = np.cumsum(weights[:, None] * points, axis=0) / np.cumsum(weights)[:, None]
    ours = iterates(r.averaged_heavy_ball.at(eta=0.5, gamma=0.7, k=k))[1:]
    assert ours == pytest.approx(means, rel=1e-12, abs=1e-14)


def test_the_plain_average_is_pytorchs_averaged_model():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra frameworks)")
    model = torch.nn.ParameterList([torch.tensor(THETA0)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.7)
    averaged, path = torch.optim.swa_utils.AveragedModel(model), [THETA0]
    for _ in range(80):
        model[0].grad = torch.tensor(LAM) * model[0].detach()
        optimizer.step()
        averaged.update_parameters(model)
        path.append(averaged.module[0].detach().numpy().copy())
    ours = iterates(r.averaged_heavy_ball.at(eta=0.5, gamma=0.7, k=0))
    assert ours == pytest.approx(np.array(path), rel=1e-12, abs=1e-14)


def test_the_mixture_is_the_published_one_and_a_slow_average_shrinks_its_limit():
    """AdEMAMix's two lines as printed, undivided; stable below 2/((1-b1)/(1+b1) + alpha (1-b3)/(1+b3))."""
    b1, b3, alpha = 0.9, 0.99, 5.0
    theta, fast, slow, path = THETA0, 0.0, 0.0, [THETA0]
    for _ in range(80):
        g = LAM * theta
        fast, slow = b1 * fast + (1 - b1) * g, b3 * slow + (1 - b3) * g
        theta = theta - 0.5 * (fast + alpha * slow)
        path.append(theta)
    rule = r.ema_mixture.at(alpha=alpha, beta1=b1, beta3=b3)
    assert iterates(rule.at(eta=0.5)) == pytest.approx(np.array(path), rel=1e-13)
    limit = 2 / ((1 - b1) / (1 + b1) + alpha * (1 - b3) / (1 + b3))
    assert stability_limit(rule) == pytest.approx(limit, rel=1e-9)
