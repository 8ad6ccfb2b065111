"""Problems: gradients against differences, minimizers and curvature where promised, oracles by their law."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import rosen, rosen_der
from scipy.sparse.linalg import aslinearoperator

from momentum_lib import gradient_descent, heavy_ball, nesterov, run
from momentum_lib.problems import (
    Beale,
    Colorizer,
    ConvexRosenbrock,
    DoubleWell,
    GoujaudCycle,
    Himmelblau,
    LeastSquares,
    LessardCycle,
    Logistic,
    Minibatch,
    Moving,
    Multiplicative,
    MultiWell,
    NesterovWorst,
    Noisy,
    Plateau,
    Problem,
    Quadratic,
    Rastrigin,
    Rosenbrock,
    Saddle,
    SampledCoordinates,
    grid_laplacian,
)

DATA = np.random.default_rng(7)
X = DATA.standard_normal((30, 4))
Y = X @ [1.0, -2.0, 0.5, 0.0] + DATA.standard_normal(30)
A = np.array([[2.0, 0.5], [0.5, 1.0]])
from_function = Problem.from_function
F, RULE = Quadratic([1.0, 0.25]), nesterov.at(eta=0.1, gamma=0.5)

CONVEX = [
    Quadratic([0.5, 3, 10], linear=[1, 2, 3]),
    Quadratic([0.5, 3, 10], rotation=5, minimizer=[1, -1, 2]),
    Quadratic(matrix=A, linear=[1, -1], constant=3),
    LeastSquares(X, Y, ridge=0.1),
    ConvexRosenbrock(),
    NesterovWorst(6, 0.5, 50),
    NesterovWorst(6, 0, 5),
    Colorizer(3, 4),
    Logistic(X, Y > 0, ridge=0.05),
    LessardCycle(),
    GoujaudCycle(5, 2.4, 0.6, 0.02, 1),
    Plateau(slope=0.3, length=2, curvature=1.5),
    Quadratic(matrix=scipy.sparse.csr_array(A), linear=[1, -1]),
    from_function(lambda x: ((x - 1) ** 2).sum() / 2, 3, minimizers=np.ones(3), mu=1, L=1, name="traced"),
]
OTHERS = [
    Rosenbrock(),
    Rosenbrock(5),
    Beale(),
    Himmelblau(),
    Rastrigin(3),
    Saddle(2, 0.5),
    DoubleWell(),
    MultiWell([-2, 1, 3], [1, 2, 0.5], [0.3, 0.2, 0.6]),
    from_function(rosen, 3, rosen_der, minimizers=np.ones(3)),
    from_function(lambda p: math.hypot(p[0], p[1]) ** 2, 2, minimizers=[0, 0], name="point by point"),
]


def points(problem, shape, seed=0):
    return np.random.default_rng(seed).uniform(-2, 3, shape + problem.shape)


@pytest.mark.parametrize("problem", CONVEX + OTHERS, ids=repr)
class TestEveryProblem:
    def test_the_gradient_is_the_derivative_of_the_value(self, problem):
        theta = points(problem, (50,))
        for direction in np.eye(problem.dim) if problem.shape else [1.0]:
            h = 1e-5
            slope = (problem.value(theta + h * direction) - problem.value(theta - h * direction)) / (2 * h)
            along = problem.grad(theta) * direction
            along = along.sum(-1) if problem.shape else along
            assert slope == pytest.approx(along, rel=1e-5, abs=1e-5)

    def test_the_minimizer_is_stationary_and_nothing_sampled_is_lower(self, problem):
        assert np.abs(problem.grad(problem.minimizer)).max() < 1e-11
        assert (problem.gap(points(problem, (2000,))) >= 0).all()
        assert problem.gap(problem.minimizer) == pytest.approx(0, abs=1e-14)
        assert np.abs(problem.grad(problem.minimizers)).max() < 1e-10
        assert problem.minimizers.shape[1:] == problem.shape

    def test_mu_and_l_hold_the_curvature_between_any_two_points(self, problem):
        a, b = points(problem, (400,)), points(problem, (400,), 1)
        change, way = problem.grad(a) - problem.grad(b), a - b
        if problem.shape:
            slope = (change * way).sum(-1) / (way**2).sum(-1)
        else:
            slope = change / way
        assert (slope >= problem.mu - 1e-9).all() and (slope <= problem.L + 1e-9).all()

    def test_jax_computes_the_same_with_its_own_arrays_or_says_why_not(self, problem):
        jax, theta = pytest.importorskip("jax"), points(problem, (2, 3))
        with jax.enable_x64(True):
            for function in (problem.value, problem.grad):
                try:
                    traced = jax.jit(function)(jax.numpy.array(theta))
                except ValueError as error:
                    assert "start from a NumPy array" in str(error)
                    sparse = isinstance(getattr(problem, "matrix", None), scipy.sparse.sparray)
                    assert sparse or problem.name == "point by point"
                except jax.errors.JAXTypeError:
                    assert problem.name in ("rosen", "point by point")  # functions that are NumPy's
                else:
                    ours = function(theta)
                    assert traced.dtype == ours.dtype
                    assert traced == pytest.approx(ours, rel=1e-12, abs=1e-12)

    def test_batches_broadcast_and_the_dtype_is_kept(self, problem):
        theta = points(problem, (2, 3))
        grad, value = problem.grad(theta), problem.value(theta)
        assert grad.shape == theta.shape and value.shape == (2, 3)
        assert problem.grad(theta[1, 2]) == pytest.approx(grad[1, 2], rel=1e-13)
        assert problem.value(theta[1, 2]) == pytest.approx(value[1, 2], rel=1e-13)
        low = theta.astype(np.float32)
        assert problem.grad(low).dtype == problem.value(low).dtype == np.float32
        assert problem.grad(low) == pytest.approx(grad, rel=1e-3, abs=1e-3)

    def test_overflow_is_silent(self, problem):
        far = np.full(problem.shape, 1e200)
        problem.value(far), problem.grad(far * 1e100)

    def test_a_point_of_the_wrong_length_is_refused(self, problem):
        if problem.shape:
            with pytest.raises(ValueError, match=f"length {problem.dim}"):
                problem.grad(np.zeros(problem.dim + 1))


class TestQuadratic:
    def test_matrix_and_eigenvalues_are_the_same_function(self):
        turned = Quadratic([1, 4, 9], rotation=np.random.default_rng(3), linear=[1, 2, 3])
        given = Quadratic(matrix=turned.matrix, linear=[1, 2, 3])
        theta = points(turned, (20,))
        assert given.grad(theta) == pytest.approx(turned.grad(theta), rel=1e-12, abs=1e-12)
        assert given.value(theta) == pytest.approx(turned.value(theta), rel=1e-12)
        assert given.eigenvalues == pytest.approx([1, 4, 9])
        assert given.eigenvectors @ np.diag([1, 4, 9]) @ given.eigenvectors.T == pytest.approx(turned.matrix)

    @pytest.mark.parametrize("x", [np.array([0.3, -2.0]), np.array([0.3 + 1j, -2 + 0.5j])])
    def test_the_value_is_the_formula_and_real(self, x):
        f = Quadratic(matrix=A, linear=[1, -1], constant=3)
        assert f.value(x) == pytest.approx((x.conj() @ A @ x / 2 - x @ [1, -1]).real + 3, rel=1e-14)
        assert np.isrealobj(f.value(x))

    def test_the_order_given_is_kept_and_axes_have_no_eigenvectors(self):
        f = Quadratic([10, 0.1])
        assert f.eigenvalues.tolist() == [10, 0.1] and f.eigenvectors is None
        assert (f.mu, f.L, f.kappa) == (0.1, 10, pytest.approx(100))

    def test_the_gap_has_no_cancellation(self):
        f = Quadratic([1, 2], minimizer=[1e3, 1e3])
        assert f.gap(f.minimizer + 1e-9) == pytest.approx(1.5e-18, rel=1e-3)

    def test_a_flat_direction_is_allowed_and_has_infinite_kappa(self):
        f = Quadratic([0, 2], linear=[0, 2])
        assert f.kappa == np.inf and f.minimizer.tolist() == [0, 1]
        assert Quadratic(matrix=grid_laplacian(5)).mu == 0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "exactly one"),
            ({"eigenvalues": [1], "matrix": [[1]]}, "exactly one"),
            ({"eigenvalues": []}, "shape"),
            ({"eigenvalues": 2.0}, "shape"),
            ({"eigenvalues": [1, np.nan]}, "nan"),
            ({"eigenvalues": [1, 1j]}, "real numbers"),
            ({"eigenvalues": [[1], [1, 2]]}, "an array of numbers"),
            ({"eigenvalues": [1, -0.5]}, "-0.5"),
            ({"matrix": [[1, 2], [3, 4]]}, "transpose by 1"),
            ({"matrix": [[1, 2], [2, 1]]}, "eigenvalue -1;"),
            ({"matrix": [[1, 2, 3], [2, 1, 3]]}, "square"),
            ({"matrix": [[1, 0], [0, np.inf]]}, "inf"),
            ({"matrix": [[1, 1], [1, 1]], "linear": [1, -1]}, "no minimizer"),
            ({"eigenvalues": [0, 1], "linear": [1, 0]}, "no minimizer"),
            ({"eigenvalues": [1, 1], "linear": [1]}, r"shape \(1,\)"),
            ({"eigenvalues": [1, 1], "linear": [1, 1], "minimizer": [1, 1]}, "not both"),
            ({"eigenvalues": [1, 1], "rotation": [[1, 1], [0, 1]]}, "orthogonal"),
            ({"matrix": A, "rotation": 1}, "directions"),
            ({"matrix": scipy.sparse.csr_array([[1.0, 2.0], [0.0, 1.0]])}, "transpose by 2"),
            ({"matrix": scipy.sparse.csr_array([[1.0, np.nan], [np.nan, 1.0]])}, "nan"),
            ({"matrix": aslinearoperator(np.array([[1.0, 2.0], [0.0, 1.0]]))}, "its own transpose"),
        ],
    )
    def test_what_is_no_convex_quadratic_is_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            Quadratic(**arguments)


class TestData:
    def test_least_squares_is_normalized_by_the_rows(self):
        f, w = LeastSquares(X, Y, ridge=0.3), np.array([1.0, 2.0, 3.0, 4.0])
        assert f.value(w) == pytest.approx(np.sum((X @ w - Y) ** 2) / 60 + 0.15 * w @ w, rel=1e-13)
        wide = LeastSquares(X[:2], Y[:2])
        assert wide.mu == 0 and wide.minimum == pytest.approx(0, abs=1e-12)

    def test_logistic_agrees_with_scikit_learn(self):
        linear_model = pytest.importorskip("sklearn.linear_model")
        f = Logistic(X, Y > 0, ridge=0.05)
        theirs = linear_model.LogisticRegression(C=1 / 1.5, fit_intercept=False, tol=1e-12, max_iter=1000)
        assert f.minimizer == pytest.approx(theirs.fit(X, Y > 0).coef_[0], rel=1e-6)
        assert f.grad(np.ones(4)) == pytest.approx(Logistic(X, np.sign(Y), 0.05).grad(np.ones(4)), rel=1e-15)

    def test_the_logistic_hessian_is_the_derivative_of_the_gradient(self):
        f, w, h = Logistic(X, Y > 0, ridge=0.05), np.ones(4), 1e-6
        differences = [(f.grad(w + h * e) - f.grad(w - h * e)) / (2 * h) for e in np.eye(4)]
        assert f.hessian(w) == pytest.approx(np.array(differences), rel=1e-7)


class TestKnownInstances:
    def test_the_convex_rosenbrock_has_its_true_condition_number(self):
        assert ConvexRosenbrock(25, 100).kappa == pytest.approx(73.2150, abs=5e-5)
        assert ConvexRosenbrock(25, 1000).kappa == pytest.approx(214.64, abs=5e-3)
        q = 9 / 11
        f = ConvexRosenbrock(400, 100)
        assert f.minimizer[:20] == pytest.approx(q ** np.arange(1, 21), rel=1e-12)

    def test_grid_graphs_have_their_condition_numbers(self):
        path = Quadratic(matrix=grid_laplacian(25)).eigenvalues
        assert path[-1] / path[1] == pytest.approx(252.63656, abs=5e-6)
        grid = Quadratic(matrix=grid_laplacian(5, 5)).eigenvalues
        assert grid[-1] / grid[1] == pytest.approx(18.9443, abs=5e-5)
        assert Colorizer(16, 16).kappa == pytest.approx(5289.93, abs=5e-3)

    def test_the_worst_function_has_curvature_in_its_class_and_the_geometric_minimizer(self):
        f = NesterovWorst(60, 1, 100)
        assert 1 <= f.mu < 1.1 and 95 < f.L <= 100
        assert f.minimizer == pytest.approx((9 / 11) ** np.arange(1, 61), rel=1e-9)

    @pytest.mark.parametrize("rule", [heavy_ball, nesterov], ids=repr)
    @pytest.mark.parametrize("f", [NesterovWorst(40, 1, 100), ConvexRosenbrock(40)], ids=repr)
    def test_the_light_cone_is_a_lower_bound(self, rule, f):
        """lower: >=."""
        theta = run(rule.at(eta=1 / f.L, gamma=0.8), f.grad, np.zeros(40), 30).theta
        for t, point in enumerate(theta):
            assert (point[t:] == 0).all()
            assert np.linalg.norm(point - f.minimizer) >= np.linalg.norm(f.minimizer[t:])  # Theorem 2.1.13
            if isinstance(f, NesterovWorst):
                assert f.gap(point) >= f.gap_bound(t) * (1 - 1e-12)

    def test_the_convex_worst_function_meets_nesterovs_theorem(self):
        """lower: the exact least gap is above 3 L R²/(32 (t+1)²) at n = 2t + 1, Theorem 2.1.7."""
        for t in range(1, 21):
            n = 2 * t + 1
            f = NesterovWorst(n, 0, 8)
            assert f.minimizer == pytest.approx(1 - np.arange(1, n + 1) / (n + 1), rel=1e-10)
            assert f.gap_bound(t) == pytest.approx(1 / (t + 1) - 1 / (n + 1), rel=1e-9)
            assert f.gap_bound(t) >= 3 * 8 * np.sum(f.minimizer**2) / (32 * (t + 1) ** 2)

    def test_lessards_cycle_is_exact_in_fractions(self):
        f = LessardCycle()
        cycle = f.cycle
        assert cycle == (Fraction(792, 1225), Fraction(-2208, 1225), Fraction(2592, 1225))
        for i, x in enumerate(cycle):
            out, _ = heavy_ball(x, cycle[i - 1] - x, f.grad, eta=Fraction(1, 9), gamma=Fraction(4, 9))
            assert out == cycle[(i + 1) % 3]
        theta = run(heavy_ball.at(eta=1 / 9, gamma=4 / 9), f.grad, [3.3, 3.7], 300).theta[-3:]
        assert sorted(theta[:, 0]) == pytest.approx(sorted(map(float, cycle)), rel=1e-12)
        assert theta[:, 1] == pytest.approx(np.zeros(3), abs=1e-12)

    @pytest.mark.parametrize(
        ("K", "least"), [(3, 9 + 4 * 5**0.5), (4, 25.27414), (6, 76.27064), (8, 204.18824)]
    )
    def test_heavy_ball_at_polyaks_tuning_walks_the_polygon_from_the_threshold_on(self, K, least):
        """tight: the cycle holds just above the threshold and breaks just below."""
        for kappa, holds in ((least * 1.001, True), (least * 0.999, False)):
            root = kappa**0.5
            eta, gamma = 4 / (1 + 1 / root) ** 2, ((root - 1) / (root + 1)) ** 2
            f = GoujaudCycle(K, eta, gamma, 1 / kappa, 1)
            assert f.cycles is holds
            at, v = f.cycle[0], f.cycle[-1] - f.cycle[0]
            out = run(heavy_ball.at(eta=eta, gamma=gamma), f.grad, at, 5 * K, start={"v": v}).theta
            gap = np.abs(out - np.tile(f.cycle, (6, 1))[: 5 * K + 1]).max()
            assert gap < 1e-12 if holds else gap > 1e-6

    def test_the_polygon_projection_is_the_nearest_point(self):
        f = GoujaudCycle(5, 2.4, 0.6, 0.02, 1)
        theta = points(f, (300,))
        corners = f._vertex * np.exp(2j * np.pi * np.arange(5) / 5)
        z = theta[:, 0] + 1j * theta[:, 1]
        a, b = corners, np.roll(corners, -1)
        along = np.clip((np.conj(b - a) * (z[:, None] - a)).real / np.abs(b - a) ** 2, 0, 1)
        distance = np.abs(z[:, None] - a - along * (b - a)).min(axis=1)
        inside = (np.imag(np.conj(b - a) * (z[:, None] - a)) >= 0).all(axis=1)
        found = np.linalg.norm(theta - f._projected(theta), axis=-1)
        assert found == pytest.approx(np.where(inside, 0, distance), abs=1e-14)

    def test_the_plateau_is_crossed_at_the_terminal_velocity(self):
        f = Plateau(slope=1e-3, length=1)
        assert f.grad(np.linspace(*f.stretch, 7)) == pytest.approx(np.full(7, 1e-3))
        theta = run(gradient_descent.at(eta=0.1), f.grad, f.stretch[1], 11_000).theta
        assert np.argmax(theta < f.stretch[0]) == pytest.approx(10_001, abs=1)

    def test_the_saddle_is_left_at_the_rate_of_the_linear_theory(self):
        theta = run(gradient_descent.at(eta=0.1), Saddle().grad, [0.0, 1e-8], 100).theta[:, 1]
        assert theta == pytest.approx(1e-8 * 1.1 ** np.arange(101), rel=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LeastSquares(X, Y[:3]), "y has shape"),
        (lambda: LeastSquares(X, Y, ridge=-1), "ridge is -1"),
        (lambda: Logistic(X, np.arange(30), ridge=1), "labels"),
        (lambda: Logistic([[1.0], [2.0], [-1.0]], [1, 1, 0], ridge=0), "larger ridge"),
        (lambda: GoujaudCycle(2, 1, 0.5, 0.1, 1), "K is 2"),
        (lambda: GoujaudCycle(3.0, 1, 0.5, 0.1, 1), "K is 3.0; give a whole number"),
        (lambda: GoujaudCycle(3, -1, 0.5, 0.1, 1), "eta=-1"),
        (lambda: NesterovWorst(5, 2, 1), "mu=2"),
        (lambda: NesterovWorst(5.0, 0, 1), "n is 5.0; give a whole number"),
        (lambda: NesterovWorst(5, 0, 1).gap_bound(-1), "t is -1; give a whole number"),
        (lambda: ConvexRosenbrock(5, 1), "kappa is 1"),
        (lambda: Rosenbrock(1), "dim is 1"),
        (lambda: Rastrigin(2.0), "dim is 2.0; give a whole number"),
        (lambda: Plateau(slope=0), "slope is 0"),
        (lambda: Saddle(down=-1), "down is -1"),
        (lambda: DoubleWell(1.6), "tilt=1.6"),
        (lambda: MultiWell([0, 1], [1, 2, 3]), "2 centers"),
        (lambda: MultiWell([0, 1], widths=0), "width is 0"),
        (lambda: grid_laplacian(), "no nodes"),
        (lambda: grid_laplacian(3, 0), "a side is 0"),
        (lambda: Rosenbrock().value(["a", "b"]), "give numbers"),
        (lambda: Noisy(F, -1), "-1"),
        (lambda: Noisy(F, [[1, 2], [0, 1]]), "transpose"),
        (lambda: Noisy(F, [[1, 2], [2, 1]]), "eigenvalue -1;"),
        (lambda: Noisy(F, [[1, 2]]), "square"),
        (lambda: Noisy(F, np.nan), "finite"),
        (lambda: Noisy(F, [1, 1, 1]).at_step(1, np.random.default_rng(0))(np.ones(2)), "agree"),
        (lambda: Multiplicative(F, 0), "p is 0"),
        (lambda: Multiplicative(F, 1.5), "p is 1.5"),
        (lambda: SampledCoordinates(F, c=2), "c is 2"),
        (lambda: Minibatch(LeastSquares(X, Y), 31), "batch is 31"),
        (lambda: Minibatch(LeastSquares(X, Y), 2.5), "batch is 2.5; give a whole number"),
        (lambda: Minibatch(F, 2), "no data"),
        (lambda: Noisy(3.0, 1), "neither"),
        (lambda: Moving(F, 1.0), "path"),
    ],
)
def test_what_is_outside_its_range_is_refused(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


class TestLarge:
    """Sparse matrices and operators: what is counted is products."""

    def counted(self, matrix):
        seen = []
        operator = aslinearoperator(matrix)
        operator._matmat, apply = lambda x: seen.append(x.shape) or apply(x), operator._matmat
        return operator, seen

    def test_an_operator_is_applied_once_a_step_and_never_turned_into_a_matrix(self):
        operator, seen = self.counted(scipy.sparse.diags_array(np.r_[0.1, np.linspace(0.3, 0.8, 9_998), 1]))
        f = Quadratic(matrix=operator, linear=np.ones(10_000))
        run(heavy_ball.at(eta=1.0, gamma=0.5), f.grad, np.zeros(10_000), 300, record=("theta",), every=300)
        assert repr(f) == "Quadratic(dim=10000)" and len(seen) <= 302
        assert f.grad(np.zeros((2, 3, 10_000), np.float32)).dtype == np.float32 and len(seen) <= 303
        assert max(columns for _, columns in seen) == 6
        assert (f.mu, f.L) == (pytest.approx(0.1), pytest.approx(1))
        assert np.abs(f.grad(f.minimizer)).max() < 1e-10 and f.gap(f.minimizer) == 0

    @pytest.mark.parametrize("shape", [(60, 50), (3000,)], ids=["a grid", "a chain, whose ends are crowded"])
    def test_the_ends_of_a_sparse_spectrum_are_found(self, shape):
        free = Quadratic(matrix=grid_laplacian(*shape))
        assert free.mu == 0 and free.kappa == np.inf
        top = sum(4 * np.cos(np.pi / (2 * side)) ** 2 for side in shape)
        assert free.L == pytest.approx(top, rel=1e-12)
        pinned = Colorizer(*shape)
        assert 0 < pinned.mu < 1e-3 and pinned.gap(np.zeros(3000)) == pytest.approx(0.5)

    def test_the_minimizer_of_a_sparse_one_is_found_or_refused(self):
        tilt = np.linspace(-1, 1, 3000)
        steep = scipy.sparse.diags_array(np.geomspace(1e-9, 1, 3000))  # too steep for conjugate gradients
        for matrix in (steep, grid_laplacian(3000), grid_laplacian(60, 50)):
            f = Quadratic(matrix=matrix, linear=tilt)
            assert np.abs(f.grad(f.minimizer)).max() < 1e-7
        assert f.minimizer.mean() == pytest.approx(0, abs=1e-10)  # the least of many
        with pytest.raises(ValueError, match="no minimizer"):
            _ = Quadratic(matrix=grid_laplacian(60, 50), linear=tilt + 1).minimizer

    def test_what_cannot_be_found_is_said_and_may_be_set(self):
        f = Quadratic(matrix=aslinearoperator(grid_laplacian(3000)))
        with pytest.raises(ValueError, match="set mu and L"):
            _ = f.kappa
        f.mu, f.L = 0.0, 4.0
        assert f.kappa == np.inf
        with pytest.raises(ValueError, match=r"eigenvalue -0\.5"):
            _ = Quadratic(matrix=grid_laplacian(60, 50) - 0.5 * scipy.sparse.eye_array(3000)).mu
        for name in ("eigenvalues", "eigenvectors"):
            with pytest.raises(ValueError, match="all 3000 eigenvalues"):
                getattr(f, name)

    def test_a_given_matrix_is_left_alone(self):
        half = scipy.sparse.random_array((50, 50), density=0.2, rng=np.random.default_rng(0), format="csr")
        given = half @ half.T  # its indices are not in order
        dense = given.toarray()
        f = Quadratic(matrix=given)
        assert (given.toarray() == dense).all()
        assert f.grad(np.eye(50)) == pytest.approx(dense, rel=1e-12)
        assert f.eigenvalues == pytest.approx(np.linalg.eigvalsh(dense), abs=1e-12)

    @pytest.mark.parametrize("n", [2, 7, 60])
    @pytest.mark.parametrize(("mu", "L"), [(0, 8), (1e-6, 1), (0.5, 50), (0.9, 1)])
    def test_the_spectrum_and_the_bounds_of_the_worst_function_are_those_of_its_matrix(self, n, mu, L):
        f = NesterovWorst(n, mu, L)
        a = f.matrix.toarray()
        assert f.eigenvalues == pytest.approx(np.linalg.eigvalsh(a), abs=1e-14 * L)
        assert f.minimizer == pytest.approx(np.linalg.solve(a, f.linear), rel=1e-8)
        for t in (0, 1, n - 1, n, n + 3):
            reached = np.zeros(n)
            reached[:t] = np.linalg.solve(a[:t, :t], f.linear[:t])
            assert f.gap_bound(t) == pytest.approx(f.gap(reached), rel=1e-6, abs=1e-15 * L)

    def test_ten_thousand_links_take_three_numbers_each(self):
        f = NesterovWorst(10_000, 1e-4, 1)
        held = [v.nbytes for v in vars(f).values() if isinstance(v, np.ndarray)]
        assert f.matrix.nnz == 29_998 and sum(held) < 1e6
        theta = run(nesterov.at(eta=1.0, gamma=0.98), f.grad, np.zeros(10_000), 300, every=300).theta
        assert (theta[-1, 300:] == 0).all() and theta[-1, 299] != 0
        assert f.gap_bound(300) <= f.gap(theta[-1]) < f.gap(theta[0]) / 2


def bowl(x):
    return (x**2).sum() / 2


class TestFunction:
    @pytest.mark.parametrize(
        ("f", "calls"),
        [
            (lambda x: np.exp(x).sum(axis=-1), 1),
            (lambda x: np.exp(x[..., 0]) + np.exp(x[..., 1]), 1),
            (lambda p: np.exp(p[0]) + np.exp(p[1]), 1),
            (lambda x: np.exp(x).sum(), 12),
            (lambda p: math.exp(p[0]) + math.exp(p[1]), 12),
            (lambda x: np.exp(x).sum(keepdims=True), 12),
        ],
        ids=["last axis", "coordinates of it", "first axis", "one sum", "Python's numbers", "kept axis"],
    )
    def test_it_is_called_for_all_points_at_once_where_it_takes_them(self, f, calls):
        count = []
        problem = from_function(lambda x: count.append(0) or f(x), 2)
        theta = np.random.default_rng(0).normal(size=(3, 4, 2))
        count.clear()
        assert problem.value(theta) == pytest.approx(np.exp(theta).sum(axis=-1), rel=1e-15)
        assert len(count) == calls and problem.gradient_by == "differences"
        assert problem.grad(theta) == pytest.approx(np.exp(theta), rel=1e-9)
        assert len(count) == 5 * calls  # twice a coordinate

    def test_the_gradient_is_given_or_jaxs_or_differences(self):
        theta = np.random.default_rng(0).normal(size=(5, 2))
        for problem, by in (
            (from_function(bowl, 2, lambda p: (p[0], p[1])), "hand"),
            (from_function(bowl, 2, lambda x: x), "hand"),
            (from_function(bowl, 2), "JAX"),
            (from_function(lambda x: float(bowl(x)), 2), "differences"),
        ):
            assert problem.gradient_by == by and by in repr(problem)
            assert problem.grad(theta) == pytest.approx(theta, rel=1e-9, abs=1e-10)
            assert pickle.loads(pickle.dumps(from_function(bowl, 2))).gradient_by == "JAX"

    def test_a_function_of_jax_is_computed_in_double_precision(self):
        jnp = pytest.importorskip("jax.numpy")
        theta = np.array([0.1, 0.2])
        for grad in (None, lambda x: -jnp.sin(x)):
            f = from_function(lambda x: jnp.cos(x).sum(), 2, grad)
            assert f.value(theta) == pytest.approx(np.cos(theta).sum(), rel=1e-15)
            assert f.grad(theta) == pytest.approx(-np.sin(theta), rel=1e-15)

    def test_differences_are_relative_and_the_point_is_left_alone(self):
        def spoils(x):
            x *= x
            return float(x.sum())

        f, theta = from_function(spoils, 2), np.array([[1e8, -3e8], [1e-3, 2.0]])
        assert f.grad(theta) == pytest.approx(2 * theta, rel=1e-6)
        assert theta.tolist() == [[1e8, -3e8], [1e-3, 2.0]]

    def test_without_a_minimizer_it_runs_and_what_needs_one_says_so(self):
        f = from_function(bowl, 2)
        grid = run(heavy_ball.at(eta=np.array([0.1, 0.2]), gamma=0.5), f.grad, [[1.0, 2.0]] * 3, 5).theta
        assert grid == pytest.approx(
            run(heavy_ball.at(eta=np.array([0.1, 0.2]), gamma=0.5), lambda x: x, [[1.0, 2.0]] * 3, 5).theta
        )
        assert Noisy(f, 0.1).at_step(1, np.random.default_rng(0))(np.ones((3, 2))).shape == (3, 2)
        assert f.minimizers.shape == (0, 2) and (f.mu, f.L) == (-np.inf, np.inf)
        for ask in (lambda: f.minimizer, lambda: f.minimum, lambda: f.gap([1, 1])):
            with pytest.raises(ValueError, match=r"no minimizer of bowl.* is known; name it"):
                ask()

    def test_the_lowest_minimizer_is_the_minimizer(self):
        f = from_function(lambda x: (x**2 - 1) ** 2 + 0.3 * x, 1, minimizers=[0.9601, -1.0356])
        assert f.minimizers.shape == (2, 1) and f.minimizer == [-1.0356]
        assert f.minimum == pytest.approx(-0.3054, abs=1e-4) and f.value([[1.0], [2.0]]).shape == (2,)

    def test_divergence_is_a_result(self):
        f = from_function(lambda x: math.exp(x[0]) + 1 / float(x[0]), 1)
        assert np.isnan(f.value([[1e4], [0.0]])).all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("x**2", 2), "f is 'x"),
            ((bowl, 2.0), "dim is 2.0; give a whole number"),
            ((lambda x: (x @ x, 2 * x), 2), "f returned 2 things, a value and a gradient perhaps"),
            ((lambda x: [x @ x, 2 * x], 2), "f returned 2 things"),
            ((bowl, 2, lambda x: (x @ x, 2 * x)), "grad returned 2 things"),
            ((lambda x: x**2, 2), r"f returned shape \(2,\) for one point"),
            ((bowl, 2, lambda x: 1.0), r"grad returned shape \(\) for one point"),
            ((lambda x: None, 2), "f returned None for one point"),
            ((lambda x: np.log(-x).sum(), 2), r"f is nan at the point .* at="),
            ((lambda x, y: x + y, 2), "f fails at the point .* one array of 2 numbers"),
            ((bowl, 2, None, [[0, 0, 0]]), r"minimizers has shape \(1, 3\)"),
            ((bowl, 2, None, None, 2, 1), "mu=2 and L=1"),
        ],
    )
    def test_what_is_no_function_of_a_point_is_refused_in_one_sentence(self, arguments, message):
        with pytest.raises(ValueError, match=message) as refused:
            from_function(*arguments)
        assert str(refused.value).count("\n") == 0

    def test_a_domain_is_entered_where_it_is_named(self):
        f = from_function(lambda x: -np.log(-x).sum(), 2, at=[-1, -2])
        assert f.grad([-1.0, -2.0]) == pytest.approx([1, 0.5])
        with pytest.raises(ValueError, match="real coordinates"):
            f.value([1j, 1])


ORACLES = [
    Noisy(F, 0.3),
    Noisy(F, [0.1, 0.5]),
    Noisy(F.grad, [[0.5, 0.2], [0.2, 0.3]]),
    Multiplicative(F, 0.25),
    SampledCoordinates(F),
    SampledCoordinates(F, c=3),
    Minibatch(LeastSquares(X[:, :2], Y), 5),
    Minibatch(Logistic(X[:, :2], Y > 0, 0.1), 5),
    Noisy(Moving(F, lambda t: 0.0), 0.3),
]


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda o: type(o).__name__)
class TestEveryStochasticOracle:
    def test_its_mean_is_the_full_gradient(self, oracle):
        theta = np.broadcast_to([1.0, -2.0], (40_000, 2))
        sample = oracle.at_step(1, np.random.default_rng(1))(theta)
        error = sample.std(axis=0) / 200
        assert (np.abs(sample.mean(axis=0) - oracle(theta[0])) < 4 * error).all()

    def test_one_step_is_one_draw_and_the_next_another(self, oracle):
        rng, theta = np.random.default_rng(2), np.ones((20, 2))
        step = oracle.at_step(1, rng)
        assert (step(theta) == step(theta)).all()
        assert (oracle.at_step(2, rng)(theta) != step(theta)).any()

    def test_points_draw_for_themselves_unless_shared(self, oracle):
        theta = np.ones((20, 2))
        assert np.ptp(oracle.at_step(1, np.random.default_rng(3))(theta), axis=0).max() > 0
        oracle.shared = True
        try:
            assert np.ptp(oracle.at_step(1, np.random.default_rng(3))(theta), axis=0).max() == 0
        finally:
            oracle.shared = False

    def test_a_run_is_reproduced_by_its_seed_and_refused_without(self, oracle):
        a, b = (run(RULE, oracle, [1.0, 1.0], 20, rng=5).theta for _ in range(2))
        assert (a == b).all() and a.dtype == float
        with pytest.raises(ValueError, match="rng"):
            run(RULE, oracle, [1.0, 1.0], 2)

    def test_the_dtype_is_kept(self, oracle):
        assert oracle.at_step(1, np.random.default_rng(0))(np.ones((3, 2), np.float32)).dtype == np.float32


class TestOracleLaws:
    def sample(self, oracle, n=200_000):
        return oracle.at_step(1, np.random.default_rng(4))(np.ones((n, 2)))

    def test_additive_noise_has_its_covariance(self):
        covariance = np.array([[0.5, 0.2], [0.2, 0.3]])
        assert np.cov(self.sample(Noisy(F, covariance)).T) == pytest.approx(covariance, abs=0.01)
        assert self.sample(Noisy(F, [0.1, 0.5])).std(axis=0) == pytest.approx([0.1, 0.5], rel=0.02)

    def test_curvature_noise_has_its_variance(self):
        """V = lam² (1 - p)/p, and (c d - 1) lam²; theory.md 5.11 has (2c - 1) lam² at d = 2."""
        lam = F.eigenvalues
        assert self.sample(Multiplicative(F, 0.2)).var(axis=0) == pytest.approx(4 * lam**2, rel=0.03)
        assert self.sample(SampledCoordinates(F)).var(axis=0) == pytest.approx(lam**2, rel=0.03)
        assert self.sample(SampledCoordinates(F, c=3)).var(axis=0) == pytest.approx(5 * lam**2, rel=0.05)
        assert ((self.sample(SampledCoordinates(F), 100) != 0).sum(axis=1) == 1).all()

    def test_all_rows_are_the_full_gradient_and_no_row_comes_twice(self):
        f = LeastSquares(X, Y, 0.1)
        whole = Minibatch(f, 30).at_step(1, np.random.default_rng(0))
        assert whole(np.ones(4)) == pytest.approx(f.grad(np.ones(4)), rel=1e-12)
        assert whole(np.ones((3, 4))) == pytest.approx(f.grad(np.ones((3, 4))), rel=1e-12)
        rows = Minibatch(f, 7)._draw(np.random.default_rng(0), (50,), (4,))
        assert all(len(set(r)) == 7 for r in rows.tolist())

    def test_one_dimensional_problems_draw_for_every_entry(self):
        out = Noisy(DoubleWell(), 1.0).at_step(1, np.random.default_rng(0))(np.zeros(5))
        assert len(set(out)) == 5
        shared = Noisy(DoubleWell(), 1.0, shared=True).at_step(1, np.random.default_rng(0))(np.zeros(5))
        assert len(set(shared)) == 1

    def test_a_moving_minimizer_is_followed_without_rng(self):
        target = Moving(Quadratic([1.0, 2.0]), lambda t: [0.1 * t, 0.0])
        assert target.at_step(3)(np.array([0.3, 0.0])) == pytest.approx([0, 0], abs=1e-15)
        theta = run(gradient_descent.at(eta=0.5), target, [0.0, 0.0], 200).theta
        assert theta[-1, 0] - 0.1 * 200 == pytest.approx(-0.1, rel=1e-9)  # lag: speed (1 - eta lam)/(eta lam)
