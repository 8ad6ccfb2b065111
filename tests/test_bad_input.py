"""Wrong calls: each argument of each public function is given what it does not take.

The table is a product, values times arguments. Each cell is one sentence of ours or a result; nothing comes
raw out of a library beneath, nothing hangs, no warning of others is spilled.
"""

import dis
import functools
import math
import re
import signal
import warnings
from concurrent import futures

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import momentum_lib as m
from momentum_lib import learning, published
from momentum_lib.definition import Rule


class Thing:
    """An object that is no number."""


WRONG = {
    "nan": math.nan,
    "infinity": math.inf,
    "a text": "abc",
    "None": None,
    "rows of several lengths": [[1, 2], [3]],
    "empty": [],
    "negative": -1.0,
    "zero": 0,
    "complex": 1j,
    "an object": Thing(),
    "an array of objects": np.array([Thing()]),
    "a huge count": 10**13,
    "beyond floats": 10**400,
    "a mapping": {"a": 1},
    "a set": {1, 2},
    "True": True,
    "of rank 3": np.zeros((2, 2, 2)),
    "3.0": 3.0,
    "a function": abs,
    "a date": np.array(["2020"], "datetime64[Y]"),
}

BALL = m.heavy_ball.at(eta=0.1, gamma=0.9)
Q = m.Quadratic([1.0, 0.1])
ROWS = [[1.0, 2.0], [2.0, 1.0]]


def same(x):
    return x


def last(run):
    return run.theta[-1].max(axis=-1)


TASK = learning.Classifier(learning.Digits(count=20), (4,), batch=None)


def swept(**change):
    given = {"rule": m.heavy_ball.at(gamma=0.5), "problem": Q, "steps": 3, "grid": {"eta": [0.1]}}
    return m.sweep(**(given | {"measure": last, "progress": False} | change))


def drawn(view):
    def call(value):
        try:
            view(value)
        finally:
            plt.close("all")

    return call


#: Every argument, as the call that gives it the wrong value.
ARGUMENTS = {
    "at(eta)": lambda v: m.heavy_ball.at(eta=v),
    "at(t)": lambda v: BALL.at(t=v),
    "Rule": Rule,
    "aggregated": m.aggregated,
    # run
    "run(rule)": lambda v: m.run(v, same, 1.0, 3),
    "run(grad)": lambda v: m.run(BALL, v, 1.0, 3),
    "run(theta0)": lambda v: m.run(BALL, same, v, 3),
    "run(steps)": lambda v: m.run(BALL, same, 1.0, v),
    "run(every)": lambda v: m.run(BALL, same, 1.0, 3, every=v),
    "run(t0)": lambda v: m.run(BALL, same, 1.0, 3, t0=v),
    "run(rng)": lambda v: m.run(BALL, same, 1.0, 3, rng=v),
    "run(record)": lambda v: m.run(BALL, same, 1.0, 3, record=v),
    "run(start)": lambda v: m.run(BALL, same, 1.0, 3, start=v),
    "run(start of v)": lambda v: m.run(BALL, same, 1.0, 3, start={"v": v}),
    "run, what a schedule gives": lambda v: m.run(m.heavy_ball.at(eta=lambda t: v, gamma=0.5), same, 1.0, 3),
    "run, what grad returns": lambda v: m.run(BALL, lambda x: v, np.ones(2), 3),
    "resume": lambda v: m.run(BALL, same, 1.0, 3).resume(v),
    # spectrum, oscillation
    **{
        f"{f.__name__}(rule)": functools.partial(lambda f, v: f(v, 1.0), f)
        for f in (m.spectral_radius, m.iteration_matrix, m.regimes, m.damping, m.transient_growth)
    },
    **{
        f"{f.__name__}(lam)": functools.partial(f, BALL)
        for f in (m.spectral_radius, m.iteration_matrix, m.regimes, m.damping, m.transient_growth)
    },
    **{
        f.__name__: f
        for f in (
            *(
                m.probe,
                m.stability_limit,
                m.characteristic_polynomial,
                m.jury_conditions,
                m.transfer_function,
            ),
            *(m.identify, m.qhm_letters, m.filter_coefficients, m.latex, m.report, m.count_sign_changes),
            *(m.count_rises, m.count_reversals, m.measure_half_life, m.measure_overshoot),
            *(m.measure_path_ratio, m.lower_rate),
        )
    },
    "critical_gamma": lambda v: m.critical_gamma(m.heavy_ball, v),
    "sign_changes": lambda v: m.damping(BALL, 0.1).sign_changes(v),
    "closed_form(problem)": lambda v: m.closed_form(BALL, v, 1.0, 3),
    "closed_form(theta0)": lambda v: m.closed_form(BALL, Q, v, 3),
    "closed_form(steps)": lambda v: m.closed_form(BALL, Q, 1.0, v),
    "closed_form(start)": lambda v: m.closed_form(BALL, Q, 1.0, 3, start=v),
    "hitting_time(eigenvalues)": lambda v: m.hitting_time(BALL, v, 1.0, 0.1, 100),
    "hitting_time(theta0)": lambda v: m.hitting_time(BALL, [1.0], v, 0.1, 100),
    "hitting_time(tol)": lambda v: m.hitting_time(BALL, [1.0], 1.0, v, 100),
    "hitting_time(cap)": lambda v: m.hitting_time(BALL, [1.0], 1.0, 0.1, v),
    "settling_time(tol)": lambda v: m.settling_time(BALL, [1.0], 1.0, v, 100),
    "settling_time(cap)": lambda v: m.settling_time(BALL, [1.0], 1.0, 0.1, v),
    # adapters, learning
    "as_optax": m.as_optax,
    "as_scipy_method": m.as_scipy_method,
    "as_scipy_method(maxiter)": lambda v: optimize.minimize(
        same, 1.0, jac=same, method=m.as_scipy_method(BALL), options={"maxiter": v}
    ),
    "as_scipy_method(tol)": lambda v: optimize.minimize(
        same, 1.0, jac=same, method=m.as_scipy_method(BALL), options={"tol": v}
    ),
    "train(rule)": lambda v: learning.train(v, TASK, 2),
    "train(every)": lambda v: learning.train(BALL, TASK, 2, every=v),
    "Digits(count)": lambda v: learning.Digits(count=v),
    "sparse_weights(rng)": lambda v: learning.sparse_weights(v, 4, 4),
    "sparse_weights(fan_in)": lambda v: learning.sparse_weights(np.random.default_rng(0), v, 4),
    "normal_weights(scale)": lambda v: learning.normal_weights(np.random.default_rng(0), 4, 4, v),
    "echo_state(radius)": lambda v: learning.echo_state(np.random.default_rng(0), 4, radius=v),
    "largest_eigenvalue(size)": lambda v: learning.largest_eigenvalue(same, v),
    "largest_eigenvalue(tol)": lambda v: learning.largest_eigenvalue(lambda u: u * range(4), 4, v),
    # noise
    "stationary_covariance(lam)": lambda v: m.stationary_covariance(BALL, v, 1.0),
    "stationary_covariance(sigma)": lambda v: m.stationary_covariance(BALL, 1.0, v),
    "stationary_covariance(ratio)": lambda v: m.stationary_covariance(BALL, 1.0, 1.0, variance_ratio=v),
    "mean_square_radius": lambda v: m.mean_square_radius(BALL, 1.0, v),
    "mean_square_limit": lambda v: m.mean_square_limit(BALL, v),
    "mean_square_curve(lam)": lambda v: m.mean_square_curve(BALL, v, 1.0, 1.0, 3),
    "mean_square_curve(theta0)": lambda v: m.mean_square_curve(BALL, 1.0, 1.0, v, 3),
    "mean_square_curve(steps)": lambda v: m.mean_square_curve(BALL, 1.0, 1.0, 1.0, v),
    "mean_square_minimax": lambda v: m.mean_square_minimax(m.gradient_descent, v, 1.0),
    "noisy_run(lam)": lambda v: m.noisy_run(BALL, v, 1.0, 1.0, 3, 0),
    "noisy_run(steps)": lambda v: m.noisy_run(BALL, 1.0, 1.0, 1.0, v, 0),
    "noisy_run(rng)": lambda v: m.noisy_run(BALL, 1.0, 1.0, 1.0, 3, v),
    "noisy_run(size)": lambda v: m.noisy_run(BALL, 1.0, 1.0, 1.0, 3, 0, v),
    "autocorrelation_time(lam)": lambda v: m.autocorrelation_time(BALL, v),
    "autocorrelation_time(of)": lambda v: m.autocorrelation_time(BALL, 1.0, of=v),
    "frequency_response(omega)": lambda v: m.frequency_response(BALL, v),
    "frequency_response(slot)": lambda v: m.frequency_response(BALL, 0.1, v),
    "impulse_response": lambda v: m.impulse_response(BALL, v),
    "smoothing": lambda v: m.smoothing(BALL, v),
    "filter_coefficients(lam)": lambda v: m.filter_coefficients(BALL, "v", lam=v),
    # tuning
    "tune(mu)": lambda v: m.tune(m.heavy_ball, v, 1),
    "tune(L)": lambda v: m.tune(m.heavy_ball, 1, v),
    "tune(which)": lambda v: m.tune(m.heavy_ball, 0.1, 1, v),
    "tune(rho)": lambda v: m.tune(m.robust_momentum, 0.1, 1, rho=v),
    "worst_rate": lambda v: m.worst_rate(BALL, v, 1),
    "minimax": lambda v: m.minimax(m.gradient_descent, v, 1),
    "best_eta": lambda v: m.best_eta(m.heavy_ball.at(gamma=0.5), v, 1),
    "finite_bound(t)": lambda v: m.finite_bound(m.heavy_ball, 0.1, 1, v),
    "finite_bound(start)": lambda v: m.finite_bound(m.heavy_ball, 0.1, 1, 3, start=v),
    "lower_bound(kappa)": lambda v: m.lower_bound(v, 3),
    "lower_bound(t)": lambda v: m.lower_bound(10, v),
    "compare(rules)": lambda v: m.compare(v, 0.1, 1),
    "compare(mu)": lambda v: m.compare([BALL], v, 1),
    # conversions, symbolic
    "identify(gamma)": lambda v: m.identify(m.heavy_ball.at(gamma=v)),
    "jury_conditions(gamma)": lambda v: m.jury_conditions(m.heavy_ball.at(gamma=v)),
    "convert(to)": lambda v: m.convert(BALL, v),
    "convert_state(state)": lambda v: m.convert_state(BALL, m.ema, v),
    "convert_state(v)": lambda v: m.convert_state(BALL, m.ema, {"theta": 1.0, "v": v}),
    "equivalent(mapping)": lambda v: m.equivalent(m.heavy_ball, m.ema, v),
    "equivalent(eta)": lambda v: m.equivalent(m.heavy_ball, m.ema, {"eta": v}),
    "transfer_function(output)": lambda v: m.transfer_function(BALL, v),
    "characteristic_polynomial(eta)": lambda v: m.characteristic_polynomial(m.heavy_ball.at(eta=v)),
    # schedules
    "constant": lambda v: m.constant(v)(1),
    "linear_ramp(start)": lambda v: m.linear_ramp(v, 1, 3)(2),
    "linear_ramp(steps)": lambda v: m.linear_ramp(0, 1, v)(2),
    "linear_ramp()(t)": lambda v: m.linear_ramp(0, 1, 3)(v),
    "step_schedule(values)": lambda v: m.step_schedule(v, [2])(1),
    "cosine_decay(stop)": lambda v: m.cosine_decay(1, v, 3)(2),
    "step_schedule(value)": lambda v: m.step_schedule([1, v], [2])(3),
    "step_schedule(boundaries)": lambda v: m.step_schedule([1, 2], v)(1),
    "warmup(value)": lambda v: m.warmup(v, 3)(1),
    "warmup(steps)": lambda v: m.warmup(1, v)(1),
    "sutskever(gamma_max)": lambda v: m.sutskever(v)(1),
    "sutskever(period)": lambda v: m.sutskever(0.9, v)(1),
    "nesterov_sequence()(t)": lambda v: m.nesterov_sequence()(v),
    "nesterov_simple()(t)": lambda v: m.nesterov_simple()(v),
    "then(first)": lambda v: m.then(v, 3, 0.1)(1),
    "then(steps)": lambda v: m.then(0.1, v, 0.1)(1),
    "bias_correction(eta)": lambda v: m.bias_correction(v, 0.9)["eta"](1),
    "bias_correction(gamma)": lambda v: m.bias_correction(0.1, v)["gamma"](1),
    # sweeps
    "sweep(grid)": lambda v: swept(grid=v),
    "sweep(values of the grid)": lambda v: swept(grid={"eta": v}),
    "sweep(letter of the grid)": lambda v: swept(grid=dict([(v, [0.1])] if v.__hash__ else [])),
    "sweep(steps)": lambda v: swept(steps=v),
    "sweep(problem)": lambda v: swept(problem=v),
    "sweep, what the measure gives": lambda v: swept(measure=lambda run: v),
    "sweep(theta0)": lambda v: swept(theta0=v),
    "sweep(seeds)": lambda v: swept(seeds=v),
    "sweep(chunk)": lambda v: swept(chunk=v),
    "sweep(executor)": lambda v: swept(executor=v),
    # views, pages, published numbers
    **{
        name: drawn(view)
        for name, view in {
            "plot_eigenvalues(lam)": lambda v: m.plot_eigenvalues(BALL, v),
            "plot_noise_floor(steps)": lambda v: m.plot_noise_floor(m.gradient_descent, steps=v),
            "plot_training": m.plot_training,
            "plot_training(a label's)": lambda v: m.plot_training({"a": v}),
            "plot_training(of)": lambda v: m.plot_training({"a": 1}, of=v),
            "plot_motion(steps)": lambda v: m.plot_motion(BALL, 1.0, v),
            "plot_rate(mu)": lambda v: m.plot_rate(m.heavy_ball, v, across=[0.1, 0.2], up=[0.1, 0.2]),
            "plot_damping(what)": lambda v: m.plot_damping(m.heavy_ball, v, across=[0.1, 0.2]),
            "plot_damping(across)": lambda v: m.plot_damping(m.heavy_ball, across=v),
            "plot_error(theta0)": lambda v: m.plot_error(BALL, Q, v, 5),
            "plot_error(steps)": lambda v: m.plot_error(BALL, Q, [1.0, 1.0], v),
            "plot_error(of)": lambda v: m.plot_error(BALL, Q, [1.0, 1.0], 5, of=v),
            "plot_path(problem)": lambda v: m.plot_path(BALL, v, [1.0, 1.0], 5),
            "plot_path(theta0)": lambda v: m.plot_path(BALL, Q, v, 5),
            "plot_path(levels)": lambda v: m.plot_path(BALL, Q, [1.0, 1.0], 5, levels=v),
            "plot_path(ax)": lambda v: m.plot_path(BALL, Q, [1.0, 1.0], 5, ax=v),
            "rule_style": m.rule_style,
            "label_end(line)": lambda v: m.label_end(plt.gca(), v, "a"),
            "hatch_unstable(x)": lambda v: m.hatch_unstable(plt.gca(), v, [0, 1], np.ones((2, 2))),
            "hatch_unstable(mask)": lambda v: m.hatch_unstable(plt.gca(), [0, 1], [0, 1], v),
            "save(fig)": lambda v: m.save(v, "a", {"a": 1}),
        }.items()
    },
    "compare(problem)": lambda v: m.compare([BALL], v),
    "compare(theta0)": lambda v: m.compare([BALL], Q, theta0=v),
    "compare(tol)": lambda v: m.compare([BALL], Q, tol=v),
    "explore(kappa)": lambda v: m.explore(m.heavy_ball, v),
    "explore(spans)": lambda v: m.explore(m.heavy_ball, spans=v),
    "published.check": lambda v: published.check(v, 1.0),
    # problems
    **{
        f.__name__: f
        for f in (
            *(m.Quadratic, m.MultiWell, m.DoubleWell, m.Rosenbrock, m.ConvexRosenbrock, m.Plateau, m.Saddle),
            *(m.Rastrigin, m.SampledCoordinates, m.grid_laplacian, m.Colorizer, m.ConvexRosenbrock),
        )
    },
    "ConvexRosenbrock(kappa)": lambda v: m.ConvexRosenbrock(5, v),
    "Quadratic(linear)": lambda v: m.Quadratic([1.0, 2.0], linear=v),
    "Quadratic.value": Q.value,
    "Quadratic.grad": Q.grad,
    "NesterovWorst(mu)": lambda v: m.NesterovWorst(5, v, 1),
    "GoujaudCycle(K)": lambda v: m.GoujaudCycle(v, 0.1, 0.5, 0.1, 1),
    "GoujaudCycle(eta)": lambda v: m.GoujaudCycle(3, v, 0.5, 0.1, 1),
    "Logistic(X)": lambda v: m.Logistic(v, [1, 0], 0.1),
    "Logistic(y)": lambda v: m.Logistic(ROWS, v, 0.1),
    "Logistic(ridge)": lambda v: m.Logistic(ROWS, [1, 0], v),
    "LeastSquares(X)": lambda v: m.LeastSquares(v, [1.0, 0.0]),
    "LeastSquares(y)": lambda v: m.LeastSquares(ROWS, v),
    "Noisy(problem)": lambda v: m.Noisy(v, 1.0),
    "Noisy(sigma)": lambda v: m.Noisy(Q, v),
    "Minibatch(batch)": lambda v: m.Minibatch(m.LeastSquares(ROWS, [1.0, 0.0]), v),
    "Moving(path)": lambda v: m.Moving(Q, v),
    "Multiplicative(p)": lambda v: m.Multiplicative(Q, v),
    "from_function(f)": lambda v: m.Problem.from_function(v, 2),
    "from_function(dim)": lambda v: m.Problem.from_function(lambda x: (x**2).sum(), v),
}


def answer(call, *arguments):
    """The sentence that a wrong call is answered with, or None for a result.

    Raises
    ------
    AssertionError
        A raw error, a warning of others, no answer within a minute.
    """

    def late(number, frame):
        raise AssertionError("no answer within a minute")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*the run goes on", category=UserWarning)
            call(*arguments)
    except (TypeError, ValueError) as error:  # RuleError is both
        trace = error.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        code = trace.tb_frame.f_code
        raised = code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
        assert raised and "momentum_lib" in code.co_filename, f"raw: {error!r}"
        return str(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return None


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_wrong_value_gets_a_sentence_or_a_result(argument):
    for what, value in WRONG.items():
        told = answer(ARGUMENTS[argument], value)
        assert told is None or (told.endswith(".") and "\n" not in told and len(told) < 400), (what, told)


def raising(x):
    raise ZeroDivisionError("mine")


def writing(x):
    x *= 2
    return x


def branching(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(theta)
    return (theta - v, v) if theta > 0 else (theta, v)


def rectified(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * max(grad(theta), 0)
    return theta - v, v


def forgetful(theta, v, grad, *, eta, gamma):
    return theta - eta * grad(theta)


def in_place(theta, v, grad, *, eta, gamma):
    v *= gamma
    v += eta * grad(theta)
    return theta - v, v


def mine(step):
    return Rule(step).at(eta=0.1, gamma=0.9)


def history(*points_and_grad, eta):
    *points, grad = points_and_grad
    return points[0] - eta * grad(points[-1]), *points[:-1]


FRAME = pd.DataFrame({"label": ["a"], "t": [0], "seed": [0], "error": [1.0]})
LONG = m.aggregated((0, 0.9)).at(eta=0.1)
CALLS = [  # a call, and what its sentence says
    (lambda: m.run(BALL, writing, np.ones(2), 3), "compute on a copy"),
    (lambda: m.run(BALL, lambda x: (1.0, x), np.ones(2), 3), "return the gradient"),
    (lambda: m.run(BALL, lambda x: None, np.ones(2), 3), "what grad returned is None"),
    (lambda: m.run(mine(forgetful), same, 1.0, 3), "return every slot"),
    (lambda: m.spectral_radius(mine(forgetful), 1.0), "return every slot"),
    (lambda: m.spectral_radius(mine(branching), 1.0), "not linear"),
    (lambda: m.spectral_radius(mine(rectified), 1.0), "not linear"),
    (lambda: m.characteristic_polynomial(Rule(branching)), "not linear"),
    (lambda: m.characteristic_polynomial(m.adam), "adam"),
    (lambda: m.identify(m.adam), "adam"),
    (lambda: m.stability_limit(m.accsgd.at(kappa=0, xi=1, delta=0.1)), "divides by zero"),
    (lambda: m.run(BALL, same, 1.0, 10**12), "at most 1e\\+09"),
    (lambda: m.hitting_time(LONG, [1e-12], 1.0, 0.1, 10**9), "lower cap"),
    (lambda: m.settling_time(LONG, [1e-12], 1.0, 0.1, 10**9), "lower cap"),
    (lambda: m.nesterov_sequence()(10**9), "up to step 10000000"),
    (lambda: m.transient_growth(BALL, 1e-7), "stability limit"),
    (lambda: m.tune(m.heavy_ball, 1e-300, 1e300), "too far apart"),
    (lambda: Rule(history, slots=[f"x{i}" for i in range(25)], hyper=["eta"]).at_rest, "too many to tell"),
    (lambda: m.save(plt.figure(), "a", [1.0]), "comes without numbers"),
    (lambda: m.save(plt.figure(), "a", {"x": ROWS + [[1.0]]}), "rows of several lengths"),
    (lambda: m.explore(m.heavy_ball, spans={"gama": (0, 1)}), "gama.*a letter of none"),
    (lambda: m.explore(m.heavy_ball, spans={"gamma": (0, 0.5, 1)}), "give two numbers"),
    (lambda: m.plot_path(BALL, Q, [1, 1], 5, xlim=(0, 1, 2)), "give two numbers"),
    (lambda: m.plot_path(Q, BALL, [1, 1], 5), "Quadratic.* is not a rule"),
    (lambda: m.plot_error(Q, BALL, [1, 1], 5), "Quadratic.* is not a rule"),
    (lambda: m.plot_times(m.heavy_ball, [0.0]), "largest eigenvalue is 0"),
    (lambda: m.plot_training(FRAME[["t", "seed", "error"]]), "no column label"),
    (lambda: m.plot_training(pd.concat([FRAME, FRAME])), "a label, t and seed twice"),
    (lambda: m.plot_training(FRAME.assign(error="x")), "the error of a is"),
    (lambda: m.plot_training(FRAME.assign(error=math.nan)), "no finite point"),
    (lambda: m.equivalent(m.heavy_ball, m.ema, {"eta": "eta/0"}), "takes one number or symbol"),
    (lambda: swept(problem=m.Rosenbrock), r"the class Rosenbrock; give one of it, Rosenbrock\(\)"),
    (lambda: swept(executor=futures.ThreadPoolExecutor), "give one of concurrent.futures"),
    (lambda: published.check("lessard-2016/cycle-p", "p"), "'p' is no number"),
    (lambda: m.identify(m.heavy_ball.at(gamma=1j)), "gamma is I; give one finite number"),
    (lambda: m.MultiWell([0.0, 1.0], [1.0, 1.0], 1e-6), "width"),
]


@pytest.mark.parametrize(("call", "says"), CALLS, ids=[says for _, says in CALLS])
def test_a_call_that_goes_wrong_says_how(call, says):
    told = answer(drawn(lambda _: call()), None)
    assert told is not None
    assert re.search(says, told), told


def test_a_rule_of_many_velocities_is_read_at_once():
    rule = m.aggregated(np.linspace(0, 0.9, 40))
    assert rule.at_rest == (True,) + 40 * (False,)


def test_a_gradient_that_raises_raises_its_own_error():
    with pytest.raises(ZeroDivisionError, match="mine"):
        m.run(BALL, raising, 1.0, 3)


def test_what_is_no_array_may_still_be_a_gradient():
    for grad in (lambda x: list(x), lambda x: [int(v) for v in x]):
        assert m.run(BALL, grad, np.ones(2), 3).theta.shape == (4, 2)
    np.testing.assert_array_equal(m.run(BALL, lambda x: x * math.nan, np.ones(2), 3).diverged_at, 1)


def test_a_rule_that_writes_into_its_slots_runs_as_the_one_that_does_not():
    theirs = m.run(mine(in_place), same, np.ones(2), 5).theta
    np.testing.assert_array_equal(theirs, m.run(BALL, same, np.ones(2), 5).theta)
