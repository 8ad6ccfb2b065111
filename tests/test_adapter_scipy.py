"""A rule as a method of scipy.optimize.minimize: differences, callbacks, options and refusals as SciPy's."""

import numpy as np
import pytest
from scipy.optimize import Bounds, minimize, rosen, rosen_der

from momentum_lib import Quadratic, as_scipy_method, clipped, heavy_ball, nesterov, run
from momentum_lib.nonlinear import adam

BOWL = Quadratic([0.05, 0.4, 1.0], rotation=1, minimizer=[1.0, -2.0, 0.5])
START = np.array([0.3, 0.2, -0.1])
CALM = as_scipy_method(heavy_ball.at(eta=0.1, gamma=0.9))


def find(method=CALM, **more):
    return minimize(BOWL.value, START, **{"jac": BOWL.grad} | more, method=method)


def test_it_ends_at_the_minimum_and_not_where_it_is_crossed():
    """At eta lam = 1 heavy ball's first step lands on the minimizer, at full speed."""
    method = as_scipy_method(heavy_ball.at(eta=1.0, gamma=0.9))
    found = minimize(lambda x: x @ x / 2, [1.0], jac=lambda x: x, method=method, tol=1e-8)
    assert found.success
    assert found.nit > 100
    assert abs(found.x[0]) < 1e-7
    assert found.njev == found.nit + 1


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs", False])
def test_f_alone_works_by_scipys_own_differences(jac):
    """Whatever scheme is named, `minimize` hands None over and the differences are forward."""
    found, known = find(jac=jac, tol=1e-5), find(tol=1e-5)
    assert found.success
    assert found.x == pytest.approx(known.x, abs=1e-5)
    assert found.nfev == 4 * found.njev + 1  # f at x and beside it in each coordinate, and at the end


@pytest.mark.parametrize(
    ("scheme", "error", "calls"), [("2-point", 1e-4, 3), ("3-point", 1e-7, 5), ("cs", 1e-12, 3)]
)
def test_a_scheme_is_heard_where_the_method_is_called_itself(scheme, error, calls):
    found = CALM(rosen, np.array([0.9, 0.8]), jac=scheme, maxiter=1, tol=0.0)
    assert np.abs(found.jac - rosen_der(found.x)).max() < error
    assert found.nfev == 2 * calls + 1


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_coordinate_takes_its_numbers_in_any_shape(shape):
    f, slope = (lambda x: np.full(shape, x[0] ** 2)), (lambda x: np.full(shape, 2 * x[0]))
    found = minimize(f, 1.0, jac=slope, method=CALM)
    assert found.success and found.jac.shape == found.x.shape == (1,) and isinstance(found.fun, float)


def test_a_function_of_several_values_is_refused():
    with pytest.raises(ValueError, match=r"f gives a value of shape \(3,\); return one number"):
        minimize(lambda x: x**2, START, method=CALM)


def test_a_function_may_return_value_and_gradient_and_take_arguments():
    both = lambda x, k: (k * BOWL.value(x), k * BOWL.grad(x))  # noqa: E731
    found = minimize(both, START, args=(2.0,), jac=True, method=CALM)
    assert found.success
    assert found.x == pytest.approx(BOWL.minimizer, abs=1e-4)


@pytest.mark.parametrize(
    "r",
    [clipped(nesterov).at(eta=0.5, gamma=0.8, threshold=0.2), adam.at(eta=lambda t: 0.5 / t)],
    ids=["clipped", "adam"],
)
def test_rules_that_are_not_linear_take_the_steps_of_run(r):
    rows = [START]
    find(as_scipy_method(r), callback=lambda x: rows.append(x), options={"maxiter": 30, "tol": 0.0})
    assert np.array_equal(rows, run(r, BOWL.grad, START, 30).theta)


@pytest.mark.parametrize(
    "bounds", [None, [(None, None)] * 3, [(-np.inf, np.inf)] * 3, Bounds(), Bounds([-np.inf] * 3)], ids=repr
)
def test_bounds_that_bound_nothing_are_taken(bounds):
    assert np.array_equal(find(bounds=bounds).x, find().x)


def test_disp_tells_how_it_ended(capsys):
    find()
    assert capsys.readouterr().out == ""
    found = find(options={"disp": True})
    assert capsys.readouterr().out == (
        f"The gradient stays within tol. f = {found.fun:.6g} after {found.nit} steps of heavy_ball.\n"
    )


def test_divergence_is_a_result_and_a_callback_may_stop_the_run():
    found = find(as_scipy_method(heavy_ball.at(eta=10.0, gamma=0.9)))
    assert (found.success, found.status) == (False, 2)
    assert "left the finite numbers at step" in found.message

    def stop(intermediate_result):
        assert intermediate_result.fun == BOWL.value(intermediate_result.x)
        raise StopIteration

    found = find(callback=stop)
    assert (found.nit, found.nfev, found.status) == (1, 2, 3)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"jac": lambda x: x[:1]}, r"shape \(1,\) at theta of shape \(3,\); return a number for each coord"),
        ({"jac": lambda x: x[:, None]}, r"shape \(3, 1\) at theta of shape \(3,\)"),
        ({"bounds": [(0, 1)] * 3}, "makes no use of bounds"),
        ({"bounds": [(None, None), (None, 1), (None, None)]}, "makes no use of bounds"),
        ({"bounds": Bounds(0.0)}, "makes no use of bounds"),
        ({"constraints": {"type": "eq", "fun": lambda x: x[0]}}, "makes no use of constraints"),
        ({"hess": lambda x: np.eye(3)}, "makes no use of hess"),
        ({"options": {"gtol": 1e-3}}, "no option 'gtol'; it has disp, maxiter and tol"),
        ({"options": {"maxiter": 1e3}}, "maxiter is 1000.0; give a whole number of at least 0"),
    ],
)
def test_what_it_would_ignore_is_refused(more, sentence):
    with pytest.raises(ValueError, match=sentence):
        find(**more)
