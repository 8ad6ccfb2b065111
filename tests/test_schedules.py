"""Schedules: their values, the index they are read at, and that they say what they are."""

import pickle

import numpy as np
import pytest

from momentum_lib.problems import Quadratic
from momentum_lib.rules import bias_corrected, heavy_ball, nesterov
from momentum_lib.runner import run
from momentum_lib.schedules import (
    bias_correction,
    constant,
    cosine_decay,
    linear_ramp,
    nesterov_sequence,
    nesterov_simple,
    step_schedule,
    sutskever,
    then,
    warmup,
)

SPELLED = [
    "constant(value=0.9)",
    "linear_ramp(start=0.5, stop=0.9, steps=20)",
    "cosine_decay(start=0.9, stop=0.1, steps=20)",
    "step_schedule(values=(0.5, 0.9), boundaries=(10,))",
    "warmup(value=0.9, steps=7)",
    "sutskever(gamma_max=0.99, period=5)",
    "nesterov_sequence()",
    "nesterov_simple()",
    "then(first=sutskever(gamma_max=0.99, period=5), steps=15, second=0.9)",
    "bias_correction(0.05, 0.9)['eta']",
    "bias_correction(0.05, 0.9)['gamma']",
]
T = np.arange(1, 2000)


@pytest.mark.parametrize("spelled", SPELLED)
def test_every_schedule_is_what_it_says(spelled):
    """An array of steps is the list of steps; it prints as it is written, compares, hashes and travels."""
    schedule, again = eval(spelled), eval(spelled)
    values = schedule(T)
    assert values[:40].tolist() == [schedule(int(t)) for t in T[:40]] == [schedule(float(t)) for t in T[:40]]
    assert type(schedule(1)) is type(schedule(np.int64(1))) is float
    assert ((values >= 0) & (values <= 1)).all()
    assert (schedule, hash(schedule)) == (again, hash(again)) != constant(0.1)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    if "correction" not in spelled:
        assert repr(schedule) == spelled
    for t in (0, -3, [1, 0], np.inf):
        with pytest.raises(ValueError, match=r"is asked for step (0|-3|inf); the first step is t = 1"):
            schedule(t)
    theta = run(heavy_ball.at(eta=0.1, gamma=schedule), Quadratic([1.0]).grad, [1.0], 30).theta
    assert np.isfinite(theta).all()


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (step_schedule([0.5, 0.9, 0.99], [100, 200]), {1: 0.5, 100: 0.5, 101: 0.9, 200: 0.9, 201: 0.99}),
        (linear_ramp(0.5, 0.9, 100), {1: 0.5, 100: 0.9, 1000: 0.9}),
        (cosine_decay(0.4, 0.0, 5), {1: 0.4, 2: 0.2 + 0.2 * 0.5**0.5, 3: 0.2, 5: 0, 99: 0}),
        (then(warmup(0.4, 4), 4, cosine_decay(0.4, 0.1, 7)), {1: 0.1, 4: 0.4, 5: 0.4, 8: 0.25, 11: 0.1}),
        (warmup(0.4, 10), {1: 0.04, 10: 0.4, 11: 0.4}),
        (then(constant(0.5), 10, linear_ramp(0.5, 0.9, 3)), {10: 0.5, 11: 0.5, 13: 0.9, 14: 0.9}),
        (sutskever(0.95), {t: min(1 - 2 ** (-1 - np.log2(t // 250 + 1)), 0.95) for t in (1, 249, 250)}),
        (nesterov_sequence(), {1: 0, 2: 0, 3: 0.281753, 10**6: 1 - 3 / 10**6}),
    ],
    ids=repr,
)  # fmt: skip
def test_values(schedule, values):
    """Boundaries are included, ramps arrive on their last step, a second part starts its own clock."""
    assert [schedule(t) for t in values] == pytest.approx(list(values.values()), abs=1e-6)


def test_the_cosine_is_optaxs_and_pytorchs():
    """To the end of the decay; PyTorch's rises again behind it."""
    optax = pytest.importorskip("optax", reason="optax is not installed (extra learning)")
    ours = cosine_decay(0.4, 0.04, 21)(np.arange(1, 31))
    theirs = np.array(optax.cosine_decay_schedule(0.4, 20, alpha=0.1)(np.arange(30)))
    assert ours == pytest.approx(theirs, rel=1e-6)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra frameworks)")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.4)
    scheduler, theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, 0.04), []
    for _ in range(21):
        theirs.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert ours[:21] == pytest.approx(theirs, rel=1e-12)


# --- Nesterov -----------------------------------------------------------------------------------------


def test_the_sequence_is_the_recursion(monkeypatch):
    t, values = 1.0, nesterov_sequence()(T)
    for gamma in values[1:]:
        after = (1 + (1 + 4 * t * t) ** 0.5) / 2
        assert gamma == pytest.approx((t - 1) / after, rel=1e-14)
        t = after
    with pytest.raises(ValueError, match="nesterov_sequence is a table up to step 10000000, got 1e"):
        nesterov_sequence()(1e30)
    monkeypatch.setattr("momentum_lib.schedules._TABLED", 100)
    assert nesterov_sequence()(100) == values[99]
    with pytest.raises(ValueError, match="up to step 100, got 101"):
        nesterov_sequence()(101)


def test_nesterovs_sequence_under_jax_is_that_of_its_table_and_goes_on_beyond():
    jax = pytest.importorskip("jax")
    t = np.array([1, 2, 3, 1000, 1 << 14, (1 << 14) + 1, 20_000, 10**6])
    with jax.enable_x64(True):
        traced = jax.jit(nesterov_sequence())(jax.numpy.asarray(t))
    assert np.asarray(traced) == pytest.approx(nesterov_sequence()(t), rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("gamma", [-0.1, 1.0, 1.5])
def test_a_momentum_outside_its_range_is_refused(gamma):
    with pytest.raises(ValueError, match=r"give a momentum in \[0, 1\)"):
        bias_correction(0.1, gamma)


@pytest.mark.parametrize(
    ("schedule", "worst"), [(nesterov_sequence(), 0.012335), (nesterov_simple(), 0.012821)], ids=repr
)
def test_the_index_gives_the_worst_case_of_ten_steps(schedule, worst):
    """tight, ==: computer-assisted worst case of f - min f over convex 1-smooth f, unit distance."""
    f = Quadratic([1.0, 0.1])
    late = lambda t: 0.7 if t == 1 else schedule(t)  # noqa: E731
    one, other = (run(nesterov.at(eta=1.0, gamma=g), f.grad, [1.0, 1.0], 20).theta for g in (schedule, late))
    assert (one == other).all(), "the first momentum is inert"
    pepit = pytest.importorskip("PEPit")
    from PEPit.functions import SmoothConvexFunction

    problem = pepit.PEP()
    f = problem.declare_function(SmoothConvexFunction, L=1)
    best, theta = f.stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((theta - best) ** 2 <= 1)
    v = 0 * theta
    for t in range(1, 11):
        theta, v = nesterov(theta, v, f.gradient, eta=1, gamma=schedule(t))
    problem.set_performance_metric(f(theta) - f(best))
    assert problem.solve(verbose=0, solver="CLARABEL") == pytest.approx(worst, abs=2e-6)


# --- pairs and grids ----------------------------------------------------------------------------------


def test_bias_correction_is_this_pair():
    f, pair = Quadratic([1.0, 0.05], linear=[0, 1]), bias_correction(0.05, 0.9)
    corrected = run(bias_corrected.at(eta=0.05, gamma=0.9), f.grad, [1.0, 1.0], 60).theta
    scheduled = run(heavy_ball.at(**pair), f.grad, [1.0, 1.0], 60).theta
    assert scheduled == pytest.approx(corrected, rel=1e-12, abs=1e-13)
    assert pair["gamma"](T) + 0.1 / (1 - 0.9**T) == pytest.approx(np.ones(len(T)))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: constant(x),
        lambda x: linear_ramp(x / 2, x, 5),
        lambda x: cosine_decay(x, x / 2, 5),
        lambda x: step_schedule([x / 2, x], [3]),
        lambda x: warmup(x, 5),
        lambda x: sutskever(x, 5),
        lambda x: then(x / 2, 3, sutskever(x, 5)),
        lambda x: bias_correction(0.1, x)["gamma"],
    ],
)
def test_a_grid_of_schedules_is_one_run(make):
    f, gammas = Quadratic([1.0, 0.1]), np.array([0.5, 0.9, 0.99])
    together = run(heavy_ball.at(eta=0.1, gamma=make(gammas)), f.grad, [1.0, 1.0], 20).theta
    for i, gamma in enumerate(gammas):
        alone = run(heavy_ball.at(eta=0.1, gamma=make(gamma)), f.grad, [1.0, 1.0], 20).theta
        assert together[:, i] == pytest.approx(alone, rel=1e-13)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: linear_ramp(0.5, 0.9, 1), "steps is 1; give a whole number of at least 2"),
        (lambda: cosine_decay(0.5, 0.9, 1), "steps is 1"),
        (lambda: warmup(0.5, 0), "steps is 0"),
        (lambda: warmup(0.5, 3.0), "steps is 3.0; give a whole number"),
        (lambda: step_schedule([0.5], [10]), "1 values and 1 boundaries"),
        (lambda: step_schedule([0.5, 0.9, 0.99], [10, 10]), "increasing"),
        (lambda: step_schedule([0.5, 0.9], [0]), "increasing"),
        (lambda: sutskever(1.5), "gamma_max is 1.5"),
        (lambda: sutskever(0.9, period=0), "period is 0"),
        (lambda: then(0.5, 2.5, 0.9), "steps is 2.5"),
        (lambda: bias_correction(0.1, 1.0), "gamma is 1.0"),
    ],
)
def test_bad_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
