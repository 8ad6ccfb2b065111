"""Rules outside the linear domain: published behavior, grids, and that none passes for a matrix."""

import hashlib
import importlib
import pickle

import numpy as np
import pytest

from momentum_lib import RULES, NotLinear, RuleError, heavy_ball, nesterov, run, torch_sgd
from momentum_lib.clock import Clock
from momentum_lib.definition import CARD_FIELDS
from momentum_lib.nonlinear import (
    NONLINEAR,
    adam,
    adamw,
    clipped,
    fixed_restart,
    function_restart,
    gradient_restart,
    lion,
    lookahead,
    muon,
    nadam,
    normalized_momentum,
    signum,
)
from momentum_lib.parts import Parts, namespace
from momentum_lib.problems import Quadratic, Rosenbrock
from momentum_lib.schedules import nesterov_sequence
from momentum_lib.spectrum.probing import iteration_matrix
from momentum_lib.symbolic import characteristic_polynomial

F = Quadratic([1.0, 0.3, 0.01], minimizer=[1, 2, 3])
EVERY = [
    gradient_restart.at(eta=0.5),
    function_restart(F.value).at(eta=0.5),
    fixed_restart.at(eta=0.5, period=7.5),
    signum.at(eta=0.01, gamma=0.9),
    lion.at(eta=0.01, weight_decay=0.1),
    normalized_momentum.at(eta=0.01, gamma=0.9),
    adam.at(eta=0.01),
    adamw.at(eta=0.01),
    nadam.at(eta=0.01),
    muon.at(eta=0.01),
    clipped(heavy_ball.at(eta=0.1, gamma=0.9)).at(threshold=0.5),
    clipped(heavy_ball.at(eta=0.1, gamma=0.9), "step").at(threshold=0.5),
    lookahead(adam.at(eta=0.02)).at(sync_period=5, slow_step_size=0.5),
]


def by_text(rule):
    return rule.text


@pytest.mark.parametrize("rule", EVERY, ids=by_text)
class TestEveryNonlinearRule:
    def test_it_is_refused_as_a_matrix(self, rule):
        scalar = function_restart(lambda x: x**2).at(eta=0.5)  # a matrix is read on numbers
        with pytest.raises(NotLinear):
            iteration_matrix(scalar if rule.name == "function_restart" else rule.at(t=3), 0.7)
        assert rule.name not in RULES

    def test_a_grid_is_the_loop_over_it(self, rule):
        etas = np.array([0.02, 0.1, 0.3])
        starts = np.random.default_rng(0).standard_normal((4, 3))
        # Muon, whose one point is the matrix, rounds by how many there are, and later blows that up.
        points, steps, digit = ([...], 20, 1e-10) if rule.name == "muon" else (range(4), 60, 1e-12)
        together = run(rule.at(eta=etas), F.grad, starts, steps).theta
        assert together.shape == (steps + 1, 3, 4, 3)
        for i, eta in enumerate(etas):
            for j in points:
                alone = run(rule.at(eta=eta), F.grad, starts[j], steps).theta
                assert together[:, i, j] == pytest.approx(alone, rel=digit, abs=digit / 10)

    def test_the_dtype_is_kept_and_inputs_are_left_alone(self, rule):
        start = np.ones(3, np.float32)
        start.flags.writeable = False
        out = run(rule, F.grad, start, 20)
        assert all(values.dtype == np.float32 for values in out.slots.values())

    def test_it_comes_nearer_and_goes_on_where_it_stopped(self, rule):
        whole = run(rule, F.grad, np.zeros(3), 400)
        assert F.gap(whole.theta[-1]) < F.gap(whole.theta[0]) / 2
        half = run(rule, F.grad, np.zeros(3), 173)
        assert (half.resume(227).theta == whole.theta).all()

    def test_it_starts_at_rest_and_travels(self, rule):
        theta, *others = rule.init(np.array([1.0, 2.0]))
        still = [slot for name, slot in zip(rule.slots[1:], others, strict=True) if name != "slow"]
        assert all((slot == 0).all() for slot in still)
        there = pickle.loads(pickle.dumps(rule))
        assert (repr(there), there.slots, there.hyper) == (repr(rule), rule.slots, rule.hyper)
        assert run(there, F.grad, np.zeros(3), 9).theta[-1] == pytest.approx(
            run(rule, F.grad, np.zeros(3), 9).theta[-1], rel=1e-15
        )


#: The bits of 120 steps from three starts, written down when the arithmetic was NumPy's alone.
BITS = {
    "gradient_restart": "e9b557671ff8c454", "function_restart": "5410a8727d3760b5",
    "fixed_restart": "0c45894dcb646790", "signum": "b8792aef04142593", "lion": "ec259e44fe8191cb",
    "normalized_momentum": "8c50cfb3253fbf48", "adam": "b6909393cd78204a",
    "clipped(heavy_ball)": "fc248e9e01bcf8a6",
}  # fmt: skip


class TestEveryLibrarysArrays:
    """A point in two parts, a vector and a matrix; the reference is the same point as one NumPy vector."""

    SHAPES = ((3,), (2, 2))

    def split(self, values, array):
        ends = np.cumsum([np.prod(shape) for shape in self.SHAPES])[:-1]
        pieces = zip(np.split(values, ends), self.SHAPES, strict=True)
        return Parts(array(piece.reshape(shape)) for piece, shape in pieces)

    def walk(self, rule, theta, curvature, steps=40):
        if rule.name == "function_restart":
            rule = function_restart(lambda x: namespace(x).sum(curvature * x * x)).at(**rule.setting)
        clock, state = Clock(rule), rule.init(theta)
        for t in range(1, steps + 1):
            state = clock.advance(state, lambda x: curvature * (x - 0.1), t)
        return state[0]

    @pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-12)])
    @pytest.mark.parametrize("library", ["numpy", "jax", "torch"])
    @pytest.mark.parametrize("rule", [r for r in EVERY if r.name != "muon"], ids=by_text)
    def test_a_point_in_parts_takes_the_steps_of_the_whole_point(self, rule, library, dtype, tolerance):
        module = importlib.import_module("jax.numpy") if library == "jax" else pytest.importorskip(library)
        curvature, start = np.geomspace(0.02, 1, 7), np.linspace(-1, 2, 7)
        wanted = self.walk(rule, start, curvature)
        with pytest.importorskip("jax").enable_x64(dtype is np.float64):
            given = (self.split(values.astype(dtype), module.asarray) for values in (start, curvature))
            parts = self.walk(rule, *given).parts
        assert [tuple(part.shape) for part in parts] == list(self.SHAPES)
        assert all(str(part.dtype).endswith(np.dtype(dtype).name) for part in parts)
        assert np.abs(np.concatenate([np.ravel(p) for p in parts]) - wanted).max() <= tolerance * 2

    @pytest.mark.skipif(np.__version__ < "2", reason="the bits are those of NumPy 2")
    @pytest.mark.parametrize("rule", [r for r in EVERY if r.text in BITS], ids=by_text)
    def test_numpys_bits_are_what_they_were(self, rule):
        told = hashlib.sha256()
        for start in (np.zeros(3), np.ones(3, np.float32), np.random.default_rng(0).standard_normal((4, 3))):
            for one in (rule, rule.at(eta=np.array([0.02, 0.1])))[: start.ndim]:
                for slot in run(one, F.grad, start, 120).slots.values():
                    told.update((slot + 0.0).tobytes())
        assert told.hexdigest()[:16] == BITS[rule.text]


def test_every_one_is_here_and_has_a_card_in_the_index_of_the_house():
    made = {"function_restart", "clipped_heavy_ball", "lookahead_adam"}
    assert {*NONLINEAR, *made} == {rule.name for rule in EVERY}
    for rule in EVERY[:-3]:
        assert {*CARD_FIELDS, "Display"} <= set(rule.card) and "t+1" not in rule.__doc__
    assert all(rule.__doc__ for rule in EVERY[-3:])


class TestRestart:
    """200 log-spaced eigenvalues, start at ones, first step with a relative gap of 1e-10."""

    @pytest.mark.parametrize(
        ("kappa", "counts"),
        [
            (100, {"optimal": 96, "none": 521, "function": 214, "gradient": 137, "fixed": 185}),
            (1000, {"optimal": 283, "none": 2293, "function": 1308, "gradient": 768, "fixed": 576}),
        ],
    )
    def test_iterations_of_each_scheme(self, kappa, counts):
        """A period that is no whole number may be rounded otherwise: one step of tolerance there."""
        f = Quadratic(np.geomspace(1 / kappa, 1, 200))
        q = (kappa**0.5 - 1) / (kappa**0.5 + 1)
        schemes = {
            "optimal": nesterov.at(gamma=q),
            "none": nesterov.at(gamma=nesterov_sequence()),
            "function": function_restart(f.value),
            "gradient": gradient_restart,
            "fixed": fixed_restart.at(period=np.e * (8 * kappa) ** 0.5),
        }
        restarts = {}
        for name, rule in schemes.items():
            out = run(rule.at(eta=1.0), f.grad, np.ones(200), 2400, record=("theta", *rule.slots[3:]))
            gap = f.gap(out.theta)
            first = int(np.argmax(gap <= 1e-10 * gap[0]))
            assert abs(first - counts[name]) <= (name == "fixed")
            if rule.slots[3:]:
                restarts[name] = int(out.slots["restarts"][first, 0])
        if kappa == 100:
            assert restarts == {"function": 2, "gradient": 3, "fixed": 2}

    def test_without_a_restart_it_is_nesterov_under_its_sequence(self):
        plain = run(nesterov.at(eta=1.0, gamma=nesterov_sequence()), F.grad, np.zeros(3), 50).theta
        never = run(fixed_restart.at(eta=1.0, period=1e9), F.grad, np.zeros(3), 50).theta
        assert never == pytest.approx(plain, rel=1e-13, abs=1e-14)

    def test_after_a_restart_the_run_begins_anew(self):
        out = run(fixed_restart.at(eta=1.0, period=10), F.grad, np.zeros(3), 30)
        again = run(nesterov.at(eta=1.0, gamma=nesterov_sequence()), F.grad, out.theta[20], 9).theta
        assert out.theta[20:30] == pytest.approx(again, rel=1e-13)
        assert out.slots["restarts"][[9, 10, 19, 20, 30], 0].tolist() == [0, 1, 1, 2, 3]

    def test_the_function_scheme_restarts_where_f_rose(self):
        out = run(function_restart(F.value).at(eta=1.0), F.grad, np.zeros(3), 80)
        rose = np.diff(F.value(out.theta)) > 0
        assert (np.diff(out.slots["restarts"][:, 0]) == rose).all() and rose.any()

    def test_the_gradient_scheme_restarts_where_the_gradient_opposes_the_step(self):
        out = run(gradient_restart.at(eta=1.0), F.grad, np.zeros(3), 80)
        step = np.diff(out.theta, axis=0)
        opposed = (F.grad(out.queries) * step).sum(-1) > 0
        assert (np.diff(out.slots["restarts"][:, 0]) == opposed).all() and opposed.any()

    def test_what_cannot_be_read_by_point_is_refused(self):
        with pytest.raises(RuleError, match=r"theta0=\[x\]"):
            run(gradient_restart.at(eta=np.array([0.1, 0.2])), lambda x: x, 1.0, 3)
        with pytest.raises(RuleError, match="value"):
            function_restart(3)


class TestClipping:
    @pytest.mark.parametrize(
        "rule", [heavy_ball.at(eta=0.1, gamma=0.9), torch_sgd.at(eta=0.1, gamma=0.9, dampening=0.5)], ids=repr
    )
    def test_short_gradients_and_the_first_step_are_left_alone_to_the_bit(self, rule):
        plain = run(rule, F.grad, np.ones(3), 40).theta
        assert (plain == run(clipped(rule).at(threshold=1e6), F.grad, np.ones(3), 40).theta).all()

    def test_what_is_set_stays_set(self):
        half = clipped(heavy_ball.at(gamma=0.9))
        assert half.free == ("eta", "threshold") and half.setting == {"gamma": 0.9}
        assert half.at(eta=1, threshold=2) == clipped(heavy_ball).at(gamma=0.9, eta=1, threshold=2)
        assert pickle.loads(pickle.dumps(half)) == half
        assert clipped(torch_sgd).hyper == ("eta", "gamma", "threshold", "dampening", "weight_decay")
        assert (half.step_letters, half.momentum_letters) == (("eta",), ("gamma",))
        with pytest.raises(RuleError, match=r'RULES\["heavy_ball"\]'):
            clipped("heavy_ball")

    def test_no_step_is_longer_than_the_threshold_allows(self):
        rule = clipped(heavy_ball.at(eta=1e-3, gamma=0.9)).at(threshold=2.0)
        out = run(rule, Rosenbrock().grad, [-1.5, 2.0], 500)
        steps = np.linalg.norm(np.diff(out.theta, axis=0), axis=-1)
        assert steps.max() <= 1e-3 * 2 / (1 - 0.9) * (1 + 1e-12)  # upper
        assert steps[0] == pytest.approx(2e-3, rel=1e-12)

    def test_a_zero_gradient_stays_zero_and_a_bad_threshold_is_refused(self):
        rule = clipped(heavy_ball.at(eta=0.1, gamma=0.9))
        assert (run(rule.at(threshold=1.0), F.grad, F.minimizer, 3).theta == F.minimizer).all()
        with pytest.raises(RuleError, match="threshold is 0"):
            run(rule.at(threshold=0.0), F.grad, F.minimizer, 3)


class TestClippingBehindTheBuffer:
    RULE = clipped(heavy_ball.at(eta=0.3, gamma=0.9), "step")

    def test_it_is_optaxs_clip_behind_its_sgd(self):
        optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
        with jax.enable_x64(True):
            chain = optax.chain(optax.sgd(0.3, 0.9), optax.clip_by_global_norm(0.4))
            theta, path = jax.numpy.zeros(3), [np.zeros(3)]
            state = chain.init(theta)
            for _ in range(40):
                updates, state = chain.update(jax.numpy.asarray(F.grad(np.asarray(theta))), state)
                theta = optax.apply_updates(theta, updates)
                path.append(np.asarray(theta))
        mine = run(self.RULE.at(threshold=0.4), F.grad, np.zeros(3), 40)
        assert mine.theta == pytest.approx(np.array(path), rel=1e-12, abs=1e-14)
        steps = np.linalg.norm(np.diff(mine.theta, axis=0), axis=-1)
        assert steps.max() <= 0.4 * (1 + 1e-12) and steps.min() < 0.399

    def test_long_thresholds_change_nothing_and_another_place_is_refused(self):
        plain = run(heavy_ball.at(eta=0.3, gamma=0.9), F.grad, np.zeros(3), 40).theta
        assert run(self.RULE.at(threshold=99.0), F.grad, np.zeros(3), 40).theta == pytest.approx(
            plain, rel=1e-13
        )
        with pytest.raises(RuleError, match="of is 'norm'; clip the 'gradient' or the 'step'"):
            clipped(heavy_ball, "norm")


class TestLookahead:
    RULES = (
        heavy_ball.at(eta=0.3, gamma=0.9),
        adam.at(eta=0.1),
        torch_sgd.at(eta=0.3, gamma=0.9, dampening=0.5),
    )

    @pytest.mark.parametrize("rule", RULES, ids=repr)
    def test_it_is_the_two_loops_of_the_paper(self, rule):
        """Six steps of the rule on its own clock, then half of the way back; what the rule keeps it keeps."""
        fast, slow = run(rule, F.grad, np.zeros(3), 0), np.zeros(3)
        slows = [slow]
        for _ in range(5):
            fast = run(rule, F.grad, None, 6, start=fast.state, t0=6 * (len(slows) - 1))
            slow = slow + 0.5 * (fast.theta[-1] - slow)
            fast = run(rule, F.grad, None, 0, start={**fast.state, rule.slots[0]: slow})
            slows.append(slow)
        mine = run(lookahead(rule).at(sync_period=6, slow_step_size=0.5), F.grad, np.zeros(3), 30)
        assert mine.slots["slow"][::6] == pytest.approx(np.array(slows), rel=1e-12, abs=1e-14)
        assert (mine.theta[::6] == mine.slots["slow"][::6]).all()

    @pytest.mark.parametrize("name", ["sgd", "adam"])
    def test_it_is_optaxs(self, name):
        optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
        fast, mine = {
            "sgd": (optax.sgd(0.3, 0.9), heavy_ball.at(eta=0.3, gamma=0.9)),
            "adam": (optax.adam(0.1), adam.at(eta=0.1)),
        }[name]
        with jax.enable_x64(True):
            theirs = optax.lookahead(fast, sync_period=4, slow_step_size=0.3)
            params = optax.LookaheadParams.init_synced(jax.numpy.zeros(3))
            state, path = theirs.init(params), [np.zeros((2, 3))]
            for _ in range(30):
                gradient = jax.numpy.asarray(F.grad(np.asarray(params.fast)))
                updates, state = theirs.update(gradient, state, params)
                params = optax.apply_updates(params, updates)
                path.append(np.array([params.fast, params.slow]))
        ours = run(lookahead(mine).at(sync_period=4, slow_step_size=0.3), F.grad, np.zeros(3), 30)
        both = np.stack([ours.theta, ours.slots["slow"]], axis=1)
        assert both == pytest.approx(np.array(path), rel=1e-11, abs=1e-13)

    def test_around_a_linear_rule_a_period_is_one_matrix(self):
        """The product of those at t = 1, ..., 4, and none of them is a limit."""
        rule = lookahead(heavy_ball.at(eta=0.3, gamma=0.9)).at(sync_period=4, slow_step_size=0.3)
        period = np.linalg.multi_dot([iteration_matrix(rule.at(t=t), 0.7) for t in (4, 3, 2, 1)])
        out = run(rule, lambda x: 0.7 * x, 1.0, 8)
        assert (period @ period @ (1, 0, 1))[0] == pytest.approx(out.theta[-1], rel=1e-13)
        with pytest.raises(RuleError, match="does not settle as t → ∞"):
            iteration_matrix(rule, 0.7)
        with pytest.raises(RuleError, match="does not settle as t → ∞"):
            characteristic_polynomial(rule)

    def test_a_share_of_the_whole_way_changes_nothing(self):
        whole = lookahead(heavy_ball.at(eta=0.3, gamma=0.9)).at(sync_period=3, slow_step_size=1.0)
        plain = run(heavy_ball.at(eta=0.3, gamma=0.9), F.grad, np.zeros(3), 40).theta
        assert run(whole, F.grad, np.zeros(3), 40).theta == pytest.approx(plain, rel=1e-12, abs=1e-14)


class TestMuon:
    """A matrix M, wide, tall, of rank one or a stack of them; a vector is one column."""

    SHAPES = ((3, 5), (5, 3), (4, 1), (2, 4, 4), (4,), ())

    @staticmethod
    def pull(theta):
        return theta**3 - 0.3

    @staticmethod
    def as_published(theta, steps, eta, mu, decay):
        """The authors' lines, for one matrix."""
        buffer, path = 0.0, [theta]
        for _ in range(steps):
            g = TestMuon.pull(theta)
            buffer = buffer + (1 - mu) * (g - buffer)  # lerp
            x = g + mu * (buffer - g)
            x = (x.T if (turned := len(x) > len(x[0])) else x) / (np.linalg.norm(x) + 1e-7)
            for _ in range(5):
                a = x @ x.T
                x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
            theta = theta * (1 - eta * decay) - eta * (x.T if turned else x)
            path.append(theta)
        return np.array(path)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    @pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-13)])
    def test_it_is_the_authors_code_matrix_by_matrix(self, shape, dtype, tolerance):
        start = np.random.default_rng(0).standard_normal(shape)
        rule = muon.at(eta=0.02, gamma=0.9, weight_decay=0.1)
        mine = run(rule, self.pull, start.astype(dtype), 30).theta
        for i in np.ndindex(shape[:-2]):
            matrix = start[i] if len(shape) > 1 else start.reshape(-1, 1)
            theirs = self.as_published(matrix, 30, eta=0.02, mu=0.9, decay=0.1)
            ours = mine[(slice(None), *i)].reshape(theirs.shape)
            assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()

    @pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
    def test_it_is_optaxs_behind_optaxs_own_momentum(self, shape):
        """optax.contrib.muon corrects the bias of its two parts apart, so its momentum is chained before."""
        optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
        with jax.enable_x64(True):
            theirs = optax.chain(
                optax.trace(0.95, nesterov=True), optax.scale(0.05),
                optax.contrib.scale_by_muon(beta=0.0, eps=1e-7, nesterov=False), optax.scale(-0.02),
            )  # fmt: skip
            theta = start = jax.numpy.array(np.random.default_rng(0).standard_normal(shape))
            state, update = theirs.init(theta), jax.jit(theirs.update)  # not compiled anew at each step
            for _ in range(30):
                updates, state = update(self.pull(theta), state, theta)
                theta = optax.apply_updates(theta, updates)
        mine = run(muon.at(eta=0.02), self.pull, np.array(start), 30).theta[-1]
        assert mine == pytest.approx(np.array(theta), rel=1e-12, abs=1e-13)

    def test_it_is_pytorchs_to_the_half_precision_of_its_iteration(self):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra frameworks)")
        start = np.random.default_rng(0).standard_normal((3, 5))
        theta = torch.tensor(start, requires_grad=True)
        theirs = torch.optim.Muon([theta], lr=0.02, momentum=0.9, weight_decay=0.1)
        for _ in range(20):
            theta.grad = self.pull(theta.detach())
            theirs.step()
        mine = run(muon.at(eta=0.02, gamma=0.9, weight_decay=0.1), self.pull, start, 20).theta[-1]
        assert mine == pytest.approx(theta.detach().numpy(), abs=20 * 0.02 * 2**-6)

    @pytest.mark.parametrize("library", ["numpy", "jax", "torch"])
    def test_each_array_of_a_point_is_turned_for_itself_on_every_library(self, library):
        module = importlib.import_module("jax.numpy") if library == "jax" else pytest.importorskip(library)
        rng, rule = np.random.default_rng(3), muon.at(eta=0.02)
        starts = [rng.standard_normal(shape) for shape in self.SHAPES]
        with pytest.importorskip("jax").enable_x64(True):
            clock, state = Clock(rule), rule.init(Parts(map(module.asarray, starts)))
            for t in range(1, 10):
                state = clock.advance(state, self.pull, t)
        for start, part in zip(starts, state[0].parts, strict=True):
            assert np.asarray(part) == pytest.approx(run(rule, self.pull, start, 9).theta[-1], rel=1e-12)

    def test_every_singular_value_that_is_not_tiny_comes_near_one(self):
        rng = np.random.default_rng(2)
        left, right = (np.linalg.qr(rng.standard_normal((k, 4)))[0] for k in (4, 6))
        push = left * (1, 0.3, 0.05, 0.01) @ right.T
        moved = run(muon.at(eta=1.0), lambda x: push, np.zeros((4, 6)), 1).theta[1]
        values = np.linalg.svd(moved, compute_uv=False)
        assert values.min() > 0.68 and values.max() < 1.21
        assert -np.diag(left.T @ moved @ right) == pytest.approx(values, rel=0.5), "the same directions"

    def test_a_grid_inside_a_matrix_is_refused(self):
        with pytest.raises(RuleError, match=r"whole matrices .* theta0=\[x\]"):
            run(muon.at(eta=np.array([0.1, 0.2])), self.pull, np.ones(3), 3)


class TestDefinitions:
    def test_normalized_steps_have_length_eta_and_none_is_taken_at_rest(self):
        rule = normalized_momentum.at(eta=0.03, gamma=0.9)
        out = run(rule, F.grad, np.zeros(3), 50).theta
        assert np.linalg.norm(np.diff(out, axis=0), axis=-1) == pytest.approx(np.full(50, 0.03), rel=1e-12)
        still = run(rule, F.grad, F.minimizer, 3).theta
        assert (still == F.minimizer).all()

    def test_signum_is_lion_with_one_average(self):
        a = run(signum.at(eta=0.03, gamma=0.9), F.grad, np.zeros(3), 50).theta
        b = run(lion.at(eta=0.03, beta1=0.9, beta2=0.9), F.grad, np.zeros(3), 50).theta
        assert (a == b).all()

    @pytest.mark.parametrize(
        ("rule", "theirs"),
        [
            (adam.at(eta=0.05), {"learning_rate": 0.05}),
            (adam.at(eta=0.05, beta1=0.5, beta2=0.9, eps=1e-3),
             {"learning_rate": 0.05, "b1": 0.5, "b2": 0.9, "eps": 1e-3}),
            (adamw.at(eta=0.05, weight_decay=0.1), {"learning_rate": 0.05, "weight_decay": 0.1}),
            (nadam.at(eta=0.05, beta1=0.8), {"learning_rate": 0.05, "b1": 0.8}),
            (lion.at(eta=0.02, weight_decay=0.1), {"learning_rate": 0.02, "weight_decay": 0.1}),
        ],
        ids=repr,
    )  # fmt: skip
    def test_they_are_optax(self, rule, theirs):
        optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
        f = Rosenbrock()
        with jax.enable_x64(True):
            optimizer = getattr(optax, rule.name)(**theirs)
            theta = jax.numpy.array([-1.2, 1.0])
            state, path = optimizer.init(theta), [np.array(theta)]
            for _ in range(40):
                updates, state = optimizer.update(jax.numpy.array(f.grad(np.array(theta))), state, theta)
                theta = optax.apply_updates(theta, updates)
                path.append(np.array(theta))
        mine = run(rule, f.grad, [-1.2, 1.0], 40).theta
        assert mine == pytest.approx(np.array(path), rel=1e-10)
