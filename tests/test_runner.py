"""The run: time, going on, grids, recording, divergence, and what is refused."""

import copy
import warnings
from collections import namedtuple
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from momentum_lib.clock import Clock
from momentum_lib.definition import RULES, Rule, RuleError
from momentum_lib.nonlinear import NONLINEAR, clipped
from momentum_lib.problems import (
    Beale,
    GoujaudCycle,
    LeastSquares,
    Logistic,
    Minibatch,
    Noisy,
    Problem,
    Quadratic,
    Rosenbrock,
)
from momentum_lib.rules import aggregated, bias_corrected, gradient_descent, heavy_ball, nesterov, torch_sgd
from momentum_lib.runner import run
from momentum_lib.schedules import bias_correction, linear_ramp, warmup

BOWL, START = Quadratic([1.0, 3.0]), [1.0, -2.0]
HB = heavy_ball.at(eta=0.1, gamma=0.9)
BY_POINT = [rule for rule in NONLINEAR.values() if rule.name != "muon"]  # whose grid starts from a matrix
EVERY = [*RULES.values(), *BY_POINT, clipped(torch_sgd), aggregated((0, 0.9))]
USUAL = {"mu": 0.5, "L": 3.5, "period": 4, "threshold": 0.5, "kappa": 30.0, "xi": 4.0, "dampening": 0.25}


def usual(rule):
    """A generic value for every letter."""
    return {n: USUAL.get(n, 0.1 + i / 7) for i, n in enumerate(rule.hyper) if n != "t"}


def same_bits(one, other):
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind != "O")


# --- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_equals_the_loop_by_hand(rule):
    rule, theta0 = rule.at(**usual(rule)), np.array(START)
    made, state = run(rule, BOWL.grad, theta0, 12), rule.init(theta0)
    for t in range(13):
        assert all(np.array_equal(made.slots[n][t], s) for n, s in zip(rule.slots, state, strict=True))
        state = Clock(rule).advance(state, BOWL.grad, t + 1)
    assert all(np.array_equal(made.state[n], made.slots[n][-1]) for n in rule.slots)


def test_t_is_one_on_the_first_step_for_rules_and_schedules_alike():
    seen = []
    tell = Rule(lambda theta, grad, *, eta, t: theta - eta * t)
    made = run(tell.at(eta=lambda t: seen.append(t) or 10.0**t), lambda x: x, 0.0, 3)
    assert made.theta.tolist() == [0.0, -10.0, -210.0, -3210.0]
    assert (seen[-3:], set(seen)) == ([1, 2, 3], {1, 2, 3})


def test_the_first_step_is_used_once_and_start_sets_a_slot():
    made = run(torch_sgd.at(eta=1.0, gamma=0.5, dampening=0.5), lambda x: 1.0 + 0 * x, 0.0, 3)
    assert made.slots["b"].tolist() == [0.0, 1.0, 1.0, 1.0]
    made = run(heavy_ball.at(eta=[0.1, 0.2], gamma=0.5), lambda x: 0 * x, [0.0, 0.0], 1, start={"v": [1, 2]})
    assert made.slots["v"].tolist() == [[[1, 2]] * 2, [[0.5, 1]] * 2], "and is spread over the grid"
    none = run(HB, BOWL.grad, START, 0)
    assert (none.theta.tolist(), none.queries.shape, none.diverged_at) == ([START], (0, 2), None)


# --- pieces, and JAX ----------------------------------------------------------------------------------

PLANE = [
    Rosenbrock(),
    Beale(),
    GoujaudCycle(5, 2.4, 0.6, 0.02, 1),
    Quadratic([1.0, 9.0], rotation=3, linear=[1, 2]),
    Logistic([[1.0, 2.0], [-2.0, 0.5], [0.5, -1.0]], [1, 0, 0], ridge=0.1),
]


def on_a_grid(rule):
    letters = usual(rule)
    name = (*rule.step_letters, *rule.momentum_letters)[0]
    return rule.at(**letters | {name: 0.01 * letters[name] * np.linspace(0.1, 1, 35).reshape(5, 7)})


@pytest.mark.parametrize("rule", EVERY, ids=repr)
@pytest.mark.parametrize("problem", PLANE, ids=repr)
def test_a_grid_in_pieces_is_the_grid_at_once_bit_for_bit(rule, problem, monkeypatch):
    rule = on_a_grid(rule)
    whole = run(rule, lambda x: problem.grad(x), START, 9, every=2)  # an oracle that might mix its cells
    row = run(rule, problem.grad, START, 9, every=2)
    assert all(same_bits(row.slots[n], whole.slots[n]) for n in rule.slots)
    monkeypatch.setattr("momentum_lib.runner._PIECE", 17)  # nine cells at most
    cut = run(rule, problem.grad, START, 4, every=2).resume(5)
    assert all(same_bits(cut.slots[n], whole.slots[n]) for n in rule.slots)
    assert all(same_bits(cut.state[n], whole.state[n]) for n in rule.slots)
    assert same_bits(cut.queries, whole.queries) and same_bits(cut.diverged_at, whole.diverged_at)


@pytest.mark.parametrize(
    ("rule", "every", "record"),
    [*((rule, 3, None) for rule in EVERY), (nesterov, 1, None), (torch_sgd, 1, None), (nesterov, 4, "theta")],
    ids=repr,
)
def test_a_run_in_jax_is_the_run_in_numpy(rule, every, record, monkeypatch):
    jax, problem = pytest.importorskip("jax"), PLANE[-1]  # no chaos, whatever the setting
    last = (*rule.step_letters, *rule.momentum_letters)[-1]
    rule = on_a_grid(rule)
    if rule.step_letters + rule.momentum_letters != (last,):  # a schedule beside the grid
        rule = rule.at(**{last: linear_ramp(rule.setting[last] / 2, rule.setting[last], 5)})
    monkeypatch.setattr("momentum_lib.runner._BLOCK", 17)
    with jax.enable_x64(True):
        start = jax.numpy.array(START)
    ours = run(rule, problem.grad, START, 8, every=every, record=record)
    theirs = run(rule, problem.grad, start, every, every=every, record=record).resume(8 - every)
    assert theirs.slots.keys() == ours.slots.keys() and theirs.t.tolist() == ours.t.tolist()
    assert same_bits(theirs.diverged_at, ours.diverged_at)
    for name, values in ours.slots.items():
        assert isinstance(theirs.slots[name], jax.Array)
        np.testing.assert_allclose(theirs.slots[name], values, 1e-9, 1e-9)
    if record is None:
        np.testing.assert_allclose(theirs.queries, ours.queries, 1e-9, 1e-9)


def test_a_schedule_over_the_grid_is_cut_with_it_in_jax(monkeypatch):
    jax, eta = pytest.importorskip("jax"), 0.05 * np.linspace(0.1, 1, 35).reshape(5, 7)
    monkeypatch.setattr("momentum_lib.runner._BLOCK", 17)
    rule = heavy_ball.at(eta=lambda t: eta / t, gamma=0.5)
    ours, theirs = (run(rule, PLANE[-1].grad, start, 8) for start in (START, jax.numpy.array(START)))
    np.testing.assert_allclose(theirs.theta, ours.theta, 1e-5, 1e-6)


def test_jax_keeps_its_types_and_counts_divergence():
    jax = pytest.importorskip("jax")
    for dtype in ("float32", "float16", "bfloat16", "complex64", "int32"):
        made = run(HB, lambda x: x, jax.numpy.ones(2, dtype), 3)
        assert made.theta.dtype == (dtype if dtype != "int32" else "float32")
    for theta0 in (START, jax.numpy.array(START)):
        far = run(heavy_ball.at(eta=[1e-4, 1e9], gamma=0.5), lambda x: 1e3 * x, theta0, 60)
        assert far.diverged_at[0] == np.inf and 3 < far.diverged_at[1] < 60


def test_what_jax_cannot_step_is_refused_with_a_sentence():
    jax = pytest.importorskip("jax")
    start = jax.numpy.array(START)
    with pytest.raises(ValueError, match="Noisy is another function at every step"):
        run(HB, Noisy(BOWL, 0.1), start, 3, rng=0)
    with pytest.raises(ValueError, match="5 is no multiple of every=3"):
        run(HB, BOWL.grad, start, 5, every=3).resume(1)
    with pytest.raises(RuleError, match="JAX cannot trace grad"):
        run(HB, lambda x: np.sin(x), start, 3)
    with pytest.raises(RuleError, match=r"grad returned shape \(\) for theta of shape \(2,\)"):
        run(HB, lambda x: x[0], start, 3)


# --- going on -----------------------------------------------------------------------------------------

DATA = np.random.default_rng(0)
BATCHES = Minibatch(LeastSquares(DATA.standard_normal((20, 2)), DATA.standard_normal(20)), 5)
#: What is asked of a run that is interrupted: its letters, the oracle, the start, settings of the run.
GOING = {
    "constant": ("", BOWL.grad, START, {}),
    "schedules": ("schedules", BOWL.grad, START, {}),
    "noise": ("", Noisy(BOWL, 0.1), START, {"rng": 3}),
    "batches, every third": ("schedules", BATCHES, START, {"rng": 3, "every": 3, "record": "theta"}),
    "queries, every third": ("", BOWL.grad, START, {"every": 3, "record": "queries"}),
    "grid": ("grid", BOWL.grad, START, {"every": 2}),
    "float32": ("", BOWL.grad, np.float32(START), {}),
    "complex": ("", lambda x: (1 + 0.5j) * x, [1.0 + 1j, -2.0], {}),
    "diverging": ("", lambda x: 1e60 * x, START, {"every": 2}),
    "diverging in one coordinate": ("", lambda x: x * [1e60, 1], START, {}),
    "diverging in a cell": ("grid", lambda x: 1e60 * x * (x > 0), START, {"every": 3}),
}
CASES = [
    pytest.param(rule, *case, id=f"{name}-{rule}")
    for name, case in GOING.items()
    for rule in EVERY
    if name != "complex" or rule.name in RULES  # signs and restarts are of real numbers
]


@pytest.mark.parametrize(("rule", "letters", "grad", "theta0", "more"), CASES)
def test_resume_is_the_uninterrupted_run_bit_for_bit(rule, letters, grad, theta0, more):
    now, turning = usual(rule), (*rule.step_letters, *rule.momentum_letters)
    if letters == "schedules":
        now |= {n: linear_ramp(now[n] / 2, now[n], 9) for n in turning}
    if letters == "grid":
        now[turning[0]] *= np.array([1.0, 0.5, 0.25])
    rule = rule.at(**now)
    whole, first, none = (run(rule, grad, theta0, steps, **more) for steps in (14, 5, 0))
    for parts in (first.resume(0).resume(1).resume(8), first.resume(9), none.resume(14)):
        assert parts.slots.keys() == whole.slots.keys()
        assert all(same_bits(parts.slots[n], whole.slots[n]) for n in whole.slots)
        assert all(same_bits(parts.state[n], whole.state[n]) for n in rule.slots)
        assert same_bits(np.array(parts.queries), np.array(whole.queries))
        assert parts.t.tolist() == whole.t.tolist()
        assert np.array_equal(parts.diverged_at, whole.diverged_at)


@pytest.mark.parametrize(
    ("rule", "grad", "seeded"),
    [
        (torch_sgd.at(eta=0.1, gamma=0.9, dampening=0.5), BOWL.grad, False),
        (bias_corrected.at(eta=0.1, gamma=0.9), BATCHES, True),
        (heavy_ball.at(**bias_correction(0.05, 0.9)), BOWL.grad, False),
        (nesterov.at(eta=warmup(0.1, 7), gamma=[0.5, 0.9]), Noisy(BOWL, 0.1), True),
    ],
)
def test_a_checkpoint_goes_on_bit_for_bit(rule, grad, seeded):
    """The state, the step count and the generator are all there is."""
    whole = run(rule, grad, START, 12, rng=7 if seeded else None)
    rng = np.random.default_rng(7) if seeded else None
    first = run(rule, grad, START, 5, rng=rng)
    for theta0 in (None, START):  # theta is in the state; theta0 then says its shape only
        rest = run(rule, grad, theta0, 7, start=first.state, t0=5, rng=copy.deepcopy(rng))
        assert all(same_bits(rest.slots[n], whole.slots[n][5:]) for n in rule.slots)
        assert rest.t.tolist() == list(range(5, 13))
        assert same_bits(rest.resume(3).theta[:8], rest.theta)


def test_a_run_keeps_its_own_copy_of_the_generator():
    """The caller may go on drawing; a run resumed twice takes the same steps twice."""
    rng, noisy = np.random.default_rng(3), Noisy(BOWL, 0.1)
    whole, first = run(HB, noisy, START, 9, rng=3).theta, run(HB, noisy, START, 5, rng=rng)
    after = copy.deepcopy(rng).random()
    assert same_bits(first.resume(4).theta, whole) and same_bits(first.resume(4).theta, whole)
    assert rng.random() == after, "resuming leaves the caller's alone"
    assert same_bits(first.resume(4).theta, whole), "and the caller's draws the run's"
    empty = run(HB, noisy, START, 0, rng=np.random.default_rng(3))
    assert same_bits(empty.resume(9).theta, whole) and same_bits(empty.resume(9).theta, whole)


def test_a_seed_cannot_go_on_where_something_is_drawn():
    with pytest.raises(ValueError, match=r"at t0=4 takes the Generator of the run before, not the seed 3"):
        run(HB, Noisy(BOWL, 0.1), START, 3, rng=3, t0=4)
    assert run(HB, BOWL.grad, START, 3, rng=3, t0=4).t.tolist() == [4, 5, 6, 7]


# --- grids and types ----------------------------------------------------------------------------------


@pytest.mark.parametrize("theta0", [1.0, [1.0, -1.0], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]], ids=np.shape)
@pytest.mark.parametrize(
    ("eta", "gamma", "grid"),
    [
        (0.1, 0.5, ()),
        (np.linspace(0.1, 0.4, 4)[:, None], np.linspace(0, 0.9, 3), (4, 3)),
        (0.1, np.zeros((0,)), (0,)),
        ([0.1, 0.2, 0.3], lambda t: 1 - 1 / t, (3,)),
        (lambda t: np.array([0.1, 0.2]) / t, 0.5, (2,)),
    ],
)
def test_a_grid_is_lifted_over_theta(theta0, eta, gamma, grid):
    made = run(heavy_ball.at(eta=eta, gamma=gamma), lambda x: 2 * x, theta0, 6, every=2)
    assert made.theta.shape == made.slots["v"].shape == (4, *grid, *np.shape(theta0))
    assert made.queries.shape == (3, *grid, *np.shape(theta0))
    assert np.shape(made.diverged_at) == grid
    for cell in np.ndindex(grid):

        def at(value, cell=cell):  # a letter of this cell
            return (lambda t: at(value(t))) if callable(value) else np.broadcast_to(value, grid)[cell]

        one = run(heavy_ball.at(eta=at(eta), gamma=at(gamma)), lambda x: 2 * x, theta0, 6, every=2)
        assert np.array_equal(made.theta[(slice(None), *cell)], one.theta)


@pytest.mark.parametrize(
    "dtype", ["bfloat16", np.float16, np.float32, np.float64, np.longdouble, np.complex64]
)
def test_the_type_of_theta_is_kept_and_computed_in(dtype):
    """Letters are cast on the way in, so nothing is computed in float64 and rounded after."""
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    seen = set()

    def tell(theta, v, grad, *, eta, gamma):
        v = gamma * v + eta * grad(theta)
        seen.add(np.asarray(v).dtype)
        return theta - v, v

    rule = Rule(tell)
    assert rule.at_rest and rule.step_letters and rule.momentum_letters  # found in Python floats
    for eta in (0.1, np.array([0.1, 0.2]), lambda t: 0.1 / t):
        seen.clear()
        made = run(rule.at(eta=eta, gamma=np.float64(0.9)), lambda x: 2.0 * x, np.ones(2, dtype), 3)
        assert seen | {made.theta.dtype, made.slots["v"].dtype, made.queries.dtype} == {np.dtype(dtype)}


def test_a_wider_slot_stays_wide():
    """A float32 velocity under float16 weights: 1e-5 is added up there, and .9999 is not 1."""
    rule, push = heavy_ball.at(eta=1e-5, gamma=0.9999), lambda x: 1 + 0 * x
    wide = run(rule, push, np.float16([1.0]), 100, start={"v": np.float32([1.0])})
    assert (wide.theta.dtype, wide.slots["v"].dtype) == (np.float16, np.float32)
    assert wide.slots["v"][-1] == pytest.approx(0.991044, abs=1e-5)
    assert same_bits(run(rule, push, None, 50, start=wide.state).slots["v"], wide.resume(50).slots["v"][100:])
    for narrow in (1.0, [1], np.array([1]), np.array(1.0, object)):  # no number widens, nor do integers
        kept = run(rule, push, np.float16([1.0]), 100, start={"v": narrow}).slots["v"]
        assert (kept.dtype, float(kept[-1, 0])) == (np.float16, 1.0)


def test_a_complex_momentum_keeps_its_imaginary_part():
    made = run(heavy_ball.at(eta=0.5, gamma=0.5j), lambda x: x, 1 + 0j, 2)
    assert made.slots["v"].tolist() == [0, 0.5, 0.25 + 0.25j]
    for gamma in (0.5j, np.array([0.5j]), lambda t: 0.5j):
        with pytest.raises(
            RuleError, match=r"gamma is complex and theta is not; start from a complex theta0"
        ):
            run(heavy_ball.at(eta=0.5, gamma=gamma), lambda x: x, 1.0, 2)


def test_integers_become_float64_and_fractions_stay_exact():
    for theta0 in (1, True, [1, 2], np.int32(3)):
        assert run(gradient_descent.at(eta=0.5), lambda x: x, theta0, 1).theta.dtype == np.float64
    rule = heavy_ball.at(eta=Fraction(1, 4), gamma=lambda t: Fraction(1, 2))
    made = run(rule, lambda x: 2 * x, np.array([Fraction(1, 3)]), 2).resume(1)
    assert made.theta[:, 0].tolist() == [Fraction(1, 3), Fraction(1, 6), Fraction(0), Fraction(-1, 12)]
    assert (made.theta.dtype, made.diverged_at) == (object, None)


def test_nobodys_arrays_are_touched():
    """A rule in place, an oracle that uses its buffer again: pid keeps gradients of the step before."""

    def in_place(theta, grad, *, eta):
        theta -= eta * grad(theta)
        return theta

    theta0, buffer = np.array([1.0, 2.0]), np.empty(2)
    made = run(Rule(in_place).at(eta=0.5), lambda x: x.copy(), theta0, 2)
    theta0[0] = 7.0
    assert made.theta.tolist() == [[1, 2], [0.5, 1], [0.25, 0.5]]
    rule = RULES["pid"].at(k_p=0.1, k_i=0.1, k_d=0.1, beta=0.5)

    def slope(x):
        return np.multiply(x, [1.0, 3.0], out=buffer.reshape(x.shape) if x.size == 2 else None)

    own = Problem.from_function(lambda x: x @ x, 2, lambda x: slope(x) if x.ndim > 1 else 1 * slope(x))

    class Bowl(Problem):
        minimizer, _value = np.zeros(2), None

        def _grad(self, theta):
            return slope(theta)

    for grad in (slope, own.grad, Bowl().grad):
        again = run(rule, grad, START, 9)
        assert np.array_equal(again.theta, run(rule, BOWL.grad, START, 9).theta)


# --- recording ----------------------------------------------------------------------------------------


def test_every_records_every_so_many():
    whole, some = (run(HB, BOWL.grad, START, 10, every=n) for n in (1, 4))
    assert some.t.tolist() == [0, 4, 8]
    assert all(np.array_equal(some.slots[n], whole.slots[n][::4]) for n in HB.slots)
    assert np.array_equal(some.queries, whole.queries[:10:4]), "the query of the step that leaves theta[k]"
    assert np.array_equal(some.state["theta"], whole.theta[-1]), "the state is the last, recorded or not"
    assert run(HB, BOWL.grad, START, 3, every=2**53).t.tolist() == [0]


def test_queries_are_where_the_gradient_was_read():
    made = run(nesterov.at(eta=0.1, gamma=0.9), BOWL.grad, START, 8)
    assert made.queries == pytest.approx(made.theta[:-1] - 0.9 * made.slots["v"][:-1], rel=1e-15)
    extra = Rule(lambda theta, grad, *, eta: theta - eta * grad(theta - eta * grad(theta)), name="extra")
    made = run(extra.at(eta=[0.5, 0.25]), lambda x: x, [1.0, 2.0], 3)
    assert made.queries.shape == (3, 2, 2, 2), "several reads a step get an axis"
    assert made.queries[:, 0] == pytest.approx(made.theta[:-1])
    assert made.queries[0, 1].tolist() == [[0.5, 1.0], [0.75, 1.5]]
    extra.first(lambda theta, grad, *, eta: theta - eta * grad(theta))
    with pytest.raises(RuleError, match=r"extra reads the gradient 2 times at step 2, .*record=\('theta',\)"):
        run(extra.at(eta=0.5), lambda x: x, START, 3)


def test_record_keeps_only_what_is_asked():
    made = run(HB, BOWL.grad, START, 4, record=("theta",))
    assert (set(made.slots), made.queries, made.rule) == ({"theta"}, None, HB)
    with pytest.raises(AttributeError, match=r"theta was not recorded; add 'theta' to record="):
        _ = run(HB, BOWL.grad, START, 4, record="v").theta


def test_a_grid_asks_the_oracle_once_a_step_and_keeps_what_it_records():
    """100 x 100 runs are one run of larger arrays; going on takes no step again."""
    calls = []
    rule = heavy_ball.at(eta=np.linspace(0.01, 1, 100)[:, None], gamma=np.linspace(0, 0.99, 100))
    made = run(rule, lambda x: calls.append(1) or 2 * x, 1.0, 50, record="theta")
    assert (len(calls), made.theta.nbytes) == (50, 51 * 10_000 * 8)
    assert (len(made.resume(10).t), len(calls)) == (61, 60)


# --- divergence is a result ---------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 7])
def test_divergence_is_dated_and_silent(every):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = run(heavy_ball.at(eta=3.0, gamma=0.9), BOWL.grad, [1.0, 1.0], 2000, every=every)
        assert run(gradient_descent.at(eta=1.0), lambda x: x**3, 10.0, 50).diverged_at is not None
    first = int(np.argmin(np.isfinite(run(made.rule, BOWL.grad, [1.0, 1.0], 2000).theta).all(axis=-1)))
    assert (made.diverged_at, type(made.diverged_at)) == (first, int)
    assert made.theta.shape == (2000 // every + 1, 2), "the record keeps its length"
    assert not np.isfinite(made.theta[first // every + 1 :]).all(axis=-1).any()


def test_a_run_that_is_lost_altogether_is_filled_with_nan_and_asks_no_more():
    calls = []
    made = run(heavy_ball.at(eta=5.0, gamma=0.9), lambda x: calls.append(1) or x, 1.0, 2000)
    assert (len(made.resume(100).t), len(calls)) == (2101, made.diverged_at)
    assert np.isnan(made.theta[made.diverged_at + 1 :]).all()
    assert np.isnan(made.queries[made.diverged_at + 1 :]).all()
    assert run(gradient_descent.at(eta=0.1), lambda x: np.full_like(x, np.nan), START, 5).diverged_at == 1


def test_one_lost_run_disturbs_no_other():
    made = run(heavy_ball.at(eta=0.1, gamma=0.5), lambda x: x**3, np.array([0.5, 100.0]), 300)
    assert made.diverged_at is not None and np.isfinite(made.theta[:, 0]).all()
    eta = [0.1, 2.0, 30.0]
    grid = run(heavy_ball.at(eta=eta, gamma=0.5), BOWL.grad, START, 1500)
    alone = [run(heavy_ball.at(eta=e, gamma=0.5), BOWL.grad, START, 1500).diverged_at for e in eta]
    assert grid.diverged_at.tolist() == [np.inf if at is None else at for at in alone]
    assert np.isfinite(grid.theta[:, 0]).all()


# --- stochastic oracles -------------------------------------------------------------------------------


class Counting:
    """Noise drawn once a step, and a record of when; asked itself, it fails."""

    def __init__(self):
        self.steps = []

    def at_step(self, t, rng):
        self.steps.append(t)
        noise = rng.standard_normal()
        return lambda x: 0 * x + noise

    __call__ = None


def test_one_batch_a_step_however_often_the_rule_asks():
    oracle = Counting()
    twice = Rule(lambda theta, grad, *, eta: theta - eta * (grad(theta) + 2 * grad(theta)))
    for seed in (1, np.random.default_rng(1)):
        made = run(twice.at(eta=1.0), oracle, 0.0, 4, rng=seed)
        assert -np.diff(made.theta) == pytest.approx(3 * np.random.default_rng(1).standard_normal(4))
    assert oracle.steps == [1, 2, 3, 4] * 2


# --- what is unusual is told --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "told"),
    [
        ({"gamma": 1.5}, r"^gamma is 1\.5; the run goes on"),
        ({"gamma": [0.5, -0.5]}, r"^gamma is -0\.5; the run goes on"),
        ({"eta": -0.01}, r"^eta is -0\.01; the run goes on"),
        ({"gamma": lambda t: 1.5}, r"^the schedule of gamma gives 1\.5 at step 1; the run goes on"),
        ({"eta": lambda t: 0.1 * (2.5 - t)}, r"^the schedule of eta gives -0\.05 at step 3; the run goes on"),
        ({"eta": lambda t: np.nan if t == 4 else 0.1}, r"^the schedule of eta gives nan at step 4"),
    ],
)
def test_an_unusual_letter_is_told_once_where_it_was_called(letters, told):
    with pytest.warns(UserWarning, match=told) as seen:
        run(HB.at(**letters), BOWL.grad, START, 4).resume(2)
    assert [w.filename for w in seen] == [__file__]


def test_a_usual_letter_is_not_told():
    for rule in (HB, HB.at(gamma=1.0), HB.at(eta=0.0), HB.at(gamma=lambda t: 0.5j, eta=0.5j)):
        run(rule, BOWL.grad, np.array(START, complex), 2)
    run(RULES["triple_momentum"].at(alpha=0.1, beta=0.5, gamma=2.0, delta=3.0), BOWL.grad, START, 2)


# --- refusals -----------------------------------------------------------------------------------------


def writes(x):
    x *= 2
    return x


REFUSED = [
    ({"theta0": [1.0, np.nan]}, r"theta0 contains nan; start from finite numbers"),
    ({"theta0": "one"}, r"theta0 must be numbers"),
    ({"theta0": {"w": 1.0}}, r"theta0 is a dict and no array of numbers; ravel its parts .*as_optax"),
    ({"theta0": [np.ones(2), np.ones(3)]}, r"theta0 is a list and no array of numbers; ravel"),
    ({"theta0": [1.0, None]}, r"theta0 is a list and no array"),
    ({"theta0": None}, r"theta0 is None, and start has no theta; say where to start"),
    ({"steps": -1}, r"steps is -1; give a whole number of at least 0"),
    ({"steps": 10**12, "every": 10**12}, r"hours of work; take at most 1e\+09 and go on with resume"),
    ({"steps": 3.0}, r"steps is 3\.0; give a whole number"),
    ({"every": 0}, r"every is 0; give a whole number of at least 1"),
    ({"t0": "3"}, r"t0 is '3'; give a whole"),
    ({"rng": "seed"}, r"rng is 'seed'; give a numpy Generator or a seed, a whole number"),
    ({"rng": -1}, r"rng is -1; give a numpy"),
    ({"grad": 3.0}, r"grad must be a function of theta, got float; pass problem\.grad"),
    (
        {"grad": lambda x: x.sum()},
        r"grad returned shape \(\) for theta of shape \(2,\); return one derivative",
    ),
    ({"grad": lambda x: x[None]}, r"grad returned shape \(1, 2\) for theta of shape \(2,\)"),
    ({"grad": lambda x: (x @ x, 2 * x)}, r"grad returned 2 things, a value and a gradient perhaps"),
    ({"grad": lambda x: (x, 2 * x), "theta0": 1.0}, r"grad returned 2 things, a value and"),
    ({"grad": lambda x: None, "theta0": 1.0}, r"what grad returned is None; give a number"),
    ({"grad": lambda x: {"a": x}}, r"what grad returned is \{.*; give a number"),
    ({"grad": lambda x: [1.0, [2.0]]}, r"what grad returned is \[1\.0, \[2\.0\]\]; give"),
    ({"grad": lambda x: 1j * x}, r"what grad returned is complex and theta is not; start from a complex"),
    ({"grad": scipy.sparse.csr_matrix}, r"grad returned a sparse matrix; return an array, \.toarray\(\)"),
    ({"grad": writes}, r"grad writes into the point it is given, .*; compute on a copy, x = 2 \* x"),
    ({"rule": heavy_ball}, r"heavy_ball leaves eta and gamma open; set it with \.at\(eta=\.\.\., gamma"),
    ({"rule": HB.at(t=2)}, r"is frozen at t=2, and a run counts itself; leave t out"),
    ({"rule": HB.at(eta=[1, 2], gamma=[1, 0, 1])}, r"shapes eta \(2,\), gamma \(3,\) do not broadcast"),
    ({"rule": HB.at(eta=lambda t: None)}, r"eta is None; give a number or an array"),
    ({"rule": HB.at(eta=lambda t: "fast")}, r"eta is .*fast.*; give a number"),
    (
        {"rule": HB.at(eta=lambda t: 0.1 * np.ones(t))},
        r"eta of heavy_ball turned from shape \(1,\) into \(2,\); a schedule keeps the shape it has at t=1",
    ),
    (
        {"rule": HB.at(eta=lambda t: 0.1 * np.ones(t)), "grad": lambda x: x},
        r"heavy_ball turned .* of shape \(1, 2\) into \(2, 2\)",
    ),
    ({"start": (1.0, 0.0)}, r"start is a tuple; give a mapping of slots, as Run\.state is"),
    ({"start": {"b": 0.0}}, r"start names 'b', but the slots of heavy_ball are theta, v; give a state"),
    ({"start": {"v": np.nan}}, r"v contains nan; start from finite"),
    ({"start": {"v": None}}, r"v is a NoneType and no array of numbers"),
    ({"start": {"v": np.array([1j, 0])}}, r"start of v is complex and theta is not"),
    (
        {"start": {"v": [1.0, 2.0, 3.0]}},
        r"start of v has shape \(3,\), which does not broadcast to theta's \(2",
    ),
    ({"start": {"theta": [1.0, 2.0, 3.0]}}, r"start of theta has shape \(3,\), which does not"),
    ({"record": ("m",)}, r"heavy_ball cannot record 'm'; it has theta, v, queries"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=[sentence[:24] for _, sentence in REFUSED])
def test_bad_input_is_refused_with_a_sentence(change, sentence):
    call = {"rule": HB, "grad": BOWL.grad, "theta0": START, "steps": 3, **change}
    with pytest.raises(ValueError, match=sentence) as caught:
        run(call.pop("rule"), call.pop("grad"), call.pop("theta0"), call.pop("steps"), **call)
    assert "\n" not in str(caught.value)


def test_a_gradient_may_be_a_list_or_a_tuple():
    for kind in (list, tuple):
        made = run(HB, lambda x, kind=kind: kind((x[0], 3 * x[1])), START, 3)
        assert np.array_equal(made.theta, run(HB, BOWL.grad, START, 3).theta)


@pytest.mark.parametrize("slot", [lambda v, t: v.sum(), lambda v, t: v[None], lambda v, t: v[: 3 - t]])
def test_a_rule_that_changes_a_shape_is_refused(slot):
    wrong = Rule(lambda theta, v, grad, *, eta, t: (theta, slot(v + grad(theta), t)), name="wrong")
    with pytest.raises(RuleError, match=r"wrong turned v of shape \(2,\) into .*a step keeps the shape"):
        run(wrong.at(eta=0.1), lambda x: x, START, 3)


def test_a_recording_that_does_not_fit_is_refused_with_size_and_remedy(monkeypatch):
    """Refused before anything is allocated, by what the system says is free."""
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: namedtuple("Memory", "available")(2**30))
    small = run(HB, lambda x: x, np.zeros(1000), 10)
    for too_long in (lambda: run(HB, lambda x: x, np.zeros(1000), 10**5), lambda: small.resume(10**5 - 10)):
        with pytest.raises(ValueError, match=r'takes 2\.2 GiB and 1\.0 GiB are free; record=\("theta",\)'):
            too_long()
    assert small.theta.shape == (11, 1000)
