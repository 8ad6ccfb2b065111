"""Training: any rule on any task, its records, its ends, and going on after an interruption."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from momentum_lib import (
    RULES,
    Rule,
    RuleError,
    bias_corrected,
    gradient_descent,
    heavy_ball,
    linear_ramp,
    nesterov,
    run,
    then,
    torch_nesterov,
    torch_sgd,
)
from momentum_lib.adapters import as_optax
from momentum_lib.learning import Classifier, Digits, train, training
from momentum_lib.nonlinear import adam, clipped, lion, muon

jax = pytest.importorskip("jax", reason="JAX is not installed (extra learning)")
ravel_pytree = pytest.importorskip("jax.flatten_util").ravel_pytree


@dataclass(frozen=True)
class Bowl:
    """A task of one's own, the four methods and nothing else: a quadratic, with a random push if noisy."""

    curvature: tuple[float, ...] = (1.0, 0.3, 0.05)
    noise: float = 0.0

    def start(self, seed):
        return np.random.default_rng(seed).standard_normal(len(self.curvature)).astype(np.float32)

    def draw(self, key):
        return self.noise * jax.random.normal(key, (len(self.curvature),))

    def loss(self, theta, batch):
        return self.error(theta) + theta @ batch

    def error(self, theta):
        return (np.array(self.curvature, np.float32) * theta**2).sum() / 2

    def grad(self, theta):  # for `run`
        return np.array(self.curvature, np.float32) * theta


BOWL, NOISY = Bowl(), Bowl(noise=0.005)
NETWORK = Classifier(Digits(count=30), (4,), batch=8)


def vector(tree):
    return np.asarray(ravel_pytree(tree)[0])


def same_numbers(one, other):
    assert one.t.tolist() == other.t.tolist() and np.array_equal(one.diverged_at, other.diverged_at)
    for a, b in [(one.loss, other.loss), (one.error, other.error)]:
        assert a.tobytes() == b.tobytes()
    for name in one.rule.slots:
        assert vector(one.slots[name]).tobytes() == vector(other.slots[name]).tobytes(), name


# --- The steps --------------------------------------------------------------------------------------

SHIPPED = [rule for rule in RULES.values() if rule.__module__ == "momentum_lib.rules"]
#: One value for each letter, small enough for every rule that has it.
PLAUSIBLE = {
    **dict.fromkeys(["eta", "alpha", "delta", "eta1", "mu", "q"], 0.1),
    **dict.fromkeys(["gamma", "beta", "beta1", "beta3", "nu", "c", "k"], 0.6),
    **{"eta2": 0.02, "kappa": 10.0, "xi": 2.0, "L": 1.0, "k_p": 0.1, "k_i": 0.1, "k_d": 0.05},
}


@pytest.mark.parametrize("rule", SHIPPED, ids=repr)
def test_every_rule_takes_the_steps_of_run_and_keeps_dtype_and_shape(rule):
    rule = rule.at(**{name: PLAUSIBLE[name] for name in rule.free})
    trained = train(rule, BOWL, 6, every=3)
    assert trained.t.tolist() == [0, 3, 6] and trained.diverged_at is None and trained.rule == rule
    out = run(rule, BOWL.grad, BOWL.start(seed=0), 6)
    for name in rule.slots:
        assert trained.slots[name].dtype == np.float32 and trained.slots[name].shape == (3,)
        assert trained.slots[name] == pytest.approx(out.slots[name][-1], rel=1e-4, abs=1e-5), name
    assert abs(trained.theta - BOWL.start(seed=0)).max() > 1e-3


def test_a_first_step_of_its_own_is_taken_once():
    rule = torch_sgd.at(eta=0.1, gamma=0.6, dampening=0.5)
    assert rule.has_first_step
    trained, out = train(rule, BOWL, 6, every=1), run(rule, BOWL.grad, BOWL.start(seed=0), 6)
    errors = [float(BOWL.error(theta)) for theta in out.theta]
    assert trained.error == pytest.approx(errors, rel=1e-5)


@pytest.mark.parametrize(("rule", "flag"), [(heavy_ball, False), (torch_nesterov, True)], ids=repr)
def test_a_network_trains_as_under_optax(rule, flag):
    optax = pytest.importorskip("optax", reason="optax is not installed (extra learning)")
    task = Classifier(Digits(count=30), (4,), batch=None)
    trained = train(rule.at(eta=0.1, gamma=0.9), task, 30)
    theirs, batch = optax.sgd(0.1, momentum=0.9, nesterov=flag), task.draw(jax.random.key(0))

    @jax.jit
    def step(theta, state):
        updates, state = theirs.update(jax.grad(task.loss)(theta, batch), state)
        return optax.apply_updates(theta, updates), state

    theta = task.start(seed=0)
    state = theirs.init(theta)
    for _ in range(30):
        theta, state = step(theta, state)
    assert vector(trained.theta) == pytest.approx(vector(theta), rel=1e-3, abs=1e-5)
    assert trained.error[-1] < 0.5 * trained.error[0]


@dataclass(frozen=True)
class Wide(Bowl):
    """A bowl in a tree: a matrix, and a scalar beside it."""

    def start(self, seed):
        return {"matrix": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "scalar": np.float32(0.5)}

    def draw(self, key):
        return 0.0

    def loss(self, theta, batch):
        return self.error(theta)

    def error(self, theta):
        return (theta["matrix"] ** 2 * np.arange(1, 7).reshape(2, 3)).sum() / 2 + theta["scalar"] ** 2


@pytest.mark.parametrize(
    ("rule", "theirs"),
    [
        (adam.at(eta=0.1), lambda optax: optax.adam(0.1)),
        (lion.at(eta=0.1), lambda optax: optax.lion(0.1, weight_decay=0)),
        (
            clipped(gradient_descent).at(eta=0.1, threshold=1.0),
            lambda optax: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
        ),
        (muon.at(eta=0.1), None),
    ],
    ids=["adam", "lion", "clipped", "muon"],
)
def test_a_tree_keeps_its_arrays_and_a_rule_sees_them_as_one_point(rule, theirs):
    optax = pytest.importorskip("optax", reason="optax is not installed (extra learning)")
    theirs = as_optax(rule) if theirs is None else theirs(optax)
    task = Wide()
    theta, gradient = jax.tree.map(jax.numpy.asarray, task.start(0)), jax.grad(task.error)
    state = theirs.init(theta)
    for _ in range(9):
        updates, state = theirs.update(gradient(theta), state, theta)
        theta = optax.apply_updates(theta, updates)
    trained = train(rule, task, 9)
    assert jax.tree.map(np.shape, trained.theta) == {"matrix": (2, 3), "scalar": ()}
    for name in theta:
        assert trained.theta[name] == pytest.approx(np.asarray(theta[name]), rel=1e-4, abs=1e-5), name
    turned = jax.tree.structure(trained.theta)
    assert all(jax.tree.structure(slot) == turned for slot in trained.slots.values())


def test_the_data_are_arguments_of_the_compiled_loop_and_no_part_of_it():
    data = np.random.default_rng(0).standard_normal((1234, 3)).astype(np.float32)

    @dataclass(frozen=True)
    class Cloud(Bowl):
        def draw(self, key):
            return jax.numpy.asarray(data)[jax.random.randint(key, (5,), 0, len(data))].mean(axis=0)

        def error(self, theta):
            return ((theta - data) ** 2).mean()

    programs = []

    def jit(function, jit=jax.jit):
        def called(*args):
            programs.append(jit(function).lower(*args).as_text())
            return jit(function)(*args)

        return called

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "jit", jit)
        train(gradient_descent.at(eta=0.1), Cloud(), 3, every=3)
    assert len(programs) >= 2
    for text in programs:
        assert "tensor<1234x3xf32>" in text.partition("@main(")[2].partition("->")[0]
        assert 'constant dense<"0x' not in text


def test_a_draw_by_numpys_dice_is_refused():
    dice = np.random.default_rng(0)
    for draw in (
        lambda self, key: np.random.standard_normal(3).astype(np.float32),
        lambda self, key: jax.numpy.asarray(np.float32(dice.random(3))) * jax.random.normal(key, (3,)),
        lambda self, key: float(dice.random()),
    ):
        task = dataclass(frozen=True)(type("Diced", (Bowl,), {"draw": draw}))()
        with pytest.raises(ValueError, match="Diced.draw gives two batches for one key, and .* not by NumPy"):
            train(gradient_descent.at(eta=0.1), task, 3)


def test_a_sharded_start_stays_sharded():
    code = """
import jax, numpy as np, sys
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
sys.path.insert(0, sys.argv[1])
from test_learning_training import Bowl, dataclass, heavy_ball, train
place = NamedSharding(Mesh(np.array(jax.devices()), ("d",)), P("d"))

@dataclass(frozen=True)
class Spread(Bowl):
    def start(self, seed):
        return jax.device_put(super().start(seed), place)

ball, cups = heavy_ball.at(eta=0.1, gamma=0.5), (1.0, 0.5, 0.2, 0.1)
trained = train(ball, Spread(cups), 6)
assert all(slot.sharding == place for slot in trained.slots.values()), trained.slots
np.testing.assert_allclose(trained.theta, train(ball, Bowl(cups), 6).theta, rtol=1e-6)
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], env=os.environ | flags, check=True
    )


def test_a_rule_of_ones_own_trains():
    def step(theta, grad, *, eta, shrink=0.0):
        return ((1 - shrink) * theta - eta * grad(theta),)

    mine = Rule(step, name="mine").at(eta=0.1)
    same = train(gradient_descent.at(eta=0.1), BOWL, 4)
    assert train(mine, BOWL, 4).theta == pytest.approx(same.theta, rel=1e-6)
    assert (abs(train(mine.at(shrink=0.5), BOWL, 4).theta) < abs(same.theta)).all()


def test_the_loss_of_a_first_step_of_its_own_is_recorded_with_the_others():
    ours, theirs = (train(r.at(eta=0.1, gamma=0.5), BOWL, 6, every=3) for r in (torch_sgd, heavy_ball))
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-6)


def test_t_is_one_on_the_first_step():
    asked = []
    own = gradient_descent.at(eta=lambda t: asked.append(t) or 0.1 * t)
    trained = train(own, BOWL, 3, every=2)
    assert sorted({*asked}) == [1, 2, 3]
    theta = BOWL.start(seed=0)
    for eta in (0.1, 0.2, 0.3):
        theta = theta - eta * BOWL.grad(theta)
    assert trained.theta == pytest.approx(theta, rel=1e-5)
    told = train(gradient_descent.at(eta=linear_ramp(0.1, 0.3, 3)), BOWL, 3)
    assert told.theta == pytest.approx(theta, rel=1e-5)
    # 1/(1 - gamma^1) makes the first step long: t reaches the rule as 1 too.
    first = train(bias_corrected.at(eta=0.1, gamma=0.6), BOWL, 1)
    assert first.theta == pytest.approx(BOWL.start(0) - 0.1 / 0.4 * BOWL.grad(BOWL.start(0)), rel=1e-5)


def test_without_momentum_every_rule_sees_the_batches_of_gradient_descent():
    plain = train(gradient_descent.at(eta=0.1), NOISY, 12)
    for rule in (heavy_ball, nesterov):
        assert train(rule.at(eta=0.1, gamma=0), NOISY, 12).theta == pytest.approx(plain.theta, abs=1e-6)


def test_the_same_seed_gives_the_same_numbers_another_seed_others():
    ball = heavy_ball.at(eta=0.1, gamma=0.9)
    one, again = (train(ball, NOISY, 12, seed=3) for _ in range(2))
    same_numbers(one, again)
    training._piece.kept.cache_clear()  # compiled anew, as in another process
    same_numbers(one, train(ball, NOISY, 12, seed=3))
    assert (train(ball, NOISY, 12, seed=4).theta != one.theta).all()


def test_one_compiled_loop_serves_all_settings_of_a_rule():
    training._piece.kept.cache_clear()
    for eta in (0.1, 0.2, linear_ramp(0.1, 0.2, 4)):
        train(heavy_ball.at(eta=eta, gamma=0.9), BOWL, 4)
    assert training._piece.kept.cache_info().misses == 1


def test_every_step_sees_a_batch_of_its_own():
    flat = Bowl((0.0, 0.0), noise=1.0)  # theta moves by minus eta times the push alone
    after = [flat.start(0)] + [train(gradient_descent.at(eta=1.0), flat, n).theta for n in (1, 2, 3)]
    pushes = np.diff(after, axis=0)
    assert len(np.unique(pushes.round(3))) == 6


# --- Records ----------------------------------------------------------------------------------------

AHEAD = nesterov.at(eta=0.1, gamma=0.9)


@pytest.mark.parametrize(
    ("steps", "every", "wanted"),
    [
        (10, 4, [0, 4, 8, 10]),
        (8, 4, [0, 4, 8]),
        (3, 9, [0, 3]),
        (0, 1, [0]),
        (40, None, [*range(0, 41, 2)]),
        (3, None, [0, 1, 2, 3]),
    ],
)
def test_records_stand_at_every_and_at_the_end(steps, every, wanted):
    trained = train(gradient_descent.at(eta=0.1), BOWL, steps, every=every)
    assert trained.t.tolist() == wanted == sorted(wanted)
    assert len(trained.loss) == len(trained.error) == len(wanted)
    factor = (1 - 0.1 * np.array(BOWL.curvature)) ** np.array(wanted)[:, None]
    errors = (np.array(BOWL.curvature) * (factor * BOWL.start(seed=0)) ** 2).sum(axis=1) / 2
    assert trained.error == pytest.approx(errors, rel=1e-4)


def test_how_often_it_records_does_not_change_the_training():
    often, seldom = (train(AHEAD, NOISY, 10, every=n) for n in (1, 5))
    assert seldom.theta == pytest.approx(often.theta, abs=1e-6)
    assert seldom.error == pytest.approx(often.error[[0, 5, 10]], rel=1e-5)


def test_the_loss_is_the_mean_since_the_last_record_where_the_rule_reads_its_gradient():
    out = run(AHEAD, BOWL.grad, BOWL.start(seed=0), 6)
    read = [float(BOWL.error(x)) for x in out.queries]
    trained = train(AHEAD, BOWL, 6, every=4)
    assert np.isnan(trained.loss[0])
    assert trained.loss[1:] == pytest.approx([np.mean(read[:4]), np.mean(read[4:])], rel=1e-5)


def test_what_is_measured_stands_beside_each_error_and_is_nan_where_theta_is_not_finite(tmp_path):
    measure = {"length": lambda theta: abs(theta).max(), "one": lambda theta: 1}
    setting = {"task": BOWL, "steps": 9, "every": 3, "measure": measure}
    trained = train(AHEAD, **setting, checkpoint=tmp_path / "kept")
    thetas = [BOWL.start(0), *(train(AHEAD, BOWL, n).theta for n in (3, 6, 9))]
    assert trained.measured["length"] == pytest.approx([abs(theta).max() for theta in thetas], rel=1e-5)
    again = train(AHEAD, **setting, checkpoint=tmp_path / "kept")
    assert again.measured["length"].tolist() == trained.measured["length"].tolist()
    assert train(AHEAD, BOWL, 3).measured == {} and trained.measured["one"].tolist() == [1, 1, 1, 1]
    lost = train(gradient_descent.at(eta=3e38), Bowl((100.0, 100.0)), 10, measure=measure)
    assert np.isfinite(lost.measured["length"][0]) and np.isnan(lost.measured["length"][1])
    with pytest.raises(ValueError, match=r"measure 'all' is Array\(.*\); give one number"):
        train(AHEAD, BOWL, 3, measure={"all": lambda theta: theta})
    with pytest.raises(ValueError, match="was made with other code of measure.one, or of what it calls"):
        other = {**measure, "one": lambda theta: 2}
        train(AHEAD, **{**setting, "measure": other}, checkpoint=tmp_path / "kept")


def test_a_target_stops_at_the_first_record_that_meets_it():
    rule = gradient_descent.at(eta=0.5)
    free = train(rule, BOWL, 60, every=5)
    stopped = train(rule, BOWL, 60, every=5, target=free.error[3])
    assert stopped.t.tolist() == [0, 5, 10, 15] and stopped.error[-1] == free.error[3]
    assert train(rule, BOWL, 60, target=1e9).t.tolist() == [0]


# --- Divergence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [7, 1000])
def test_divergence_is_a_result_with_its_step(every):
    wild = heavy_ball.at(eta=5.0, gamma=0.5)
    out, trained = run(wild, BOWL.grad, BOWL.start(seed=0), 400), train(wild, BOWL, 400, every=every)
    assert trained.diverged_at == out.diverged_at < 400
    ended = min(-(-out.diverged_at // every) * every, 400)
    assert trained.t[-1] == ended and trained.error[-1] == np.inf
    assert not np.isfinite(trained.theta).all()


def test_a_theta_that_was_not_finite_and_is_again_has_diverged():
    def step(theta, grad):
        xp = jax.numpy
        return (xp.where(xp.isfinite(grad(theta)), 1e9 * theta, xp.zeros_like(theta)),)

    trained = train(Rule(step, name="back"), BOWL, 10, every=10)
    assert trained.diverged_at == 5 and np.isfinite(trained.theta).all()


def test_a_training_that_diverges_on_the_first_step_says_one():
    trained = train(gradient_descent.at(eta=3e38), Bowl((100.0, 100.0)), 10)
    assert trained.diverged_at == 1 and trained.t.tolist() == [0, 1]
    assert trained.error[-1] == np.inf and np.isfinite(trained.error[0])


# --- Grids ------------------------------------------------------------------------------------------

ETAS, SEEDS = np.array([[0.1], [50.0], [1000.0]]), np.array([0, 7])
CUBED = Rule(lambda theta, grad, *, eta: (theta - eta * grad(theta) * abs(grad(theta)),), name="cubed")


@dataclass(frozen=True)
class Fine(Bowl):
    """A bowl in float64."""

    def start(self, seed):
        return super().start(seed).astype(float)


@pytest.mark.parametrize(
    ("rule", "lost"),
    [
        (lambda eta: heavy_ball.at(eta=eta, gamma=0.9), 4),
        (lambda eta: torch_sgd.at(eta=eta, gamma=linear_ramp(0.5, 0.9, 9), dampening=0.5), 4),
        (lambda eta: bias_corrected.at(eta=lambda t: 5 * np.asarray(eta) / (4 + t), gamma=0.6), 2),
        (lambda eta: adam.at(eta=eta), 0),
        (lambda eta: CUBED.at(eta=eta), 4),
    ],
    ids=["linear", "first step", "schedule", "adam", "own"],
)
def test_a_cell_of_a_grid_is_the_training_of_its_letters_and_its_seed(rule, lost):
    measure = {"length": lambda theta: abs(theta).max()}
    told = {"task": Fine(noise=0.01), "steps": 280, "every": 70, "measure": measure}
    with jax.enable_x64(True):
        grid = train(rule(ETAS), seed=SEEDS, **told)
        assert grid.error.shape == (5, 3, 2) and np.isfinite(grid.diverged_at).sum() == lost
        for i, j in np.ndindex(3, 2):
            alone = train(rule(ETAS[i, 0]), seed=int(SEEDS[j]), **told)
            assert grid.diverged_at[i, j] == (alone.diverged_at or np.inf)
            rows = len(alone.t)
            near = partial(pytest.approx, rel=1e-9, abs=1e-12, nan_ok=True)
            assert grid.loss[:rows, i, j] == near(alone.loss)
            assert grid.error[:rows, i, j] == near(alone.error) and (grid.error[rows:, i, j] == np.inf).all()
            assert grid.measured["length"][:rows, i, j] == near(alone.measured["length"])
            if alone.diverged_at is None:
                assert rows == 5 and grid.theta.dtype == float
                for name, slot in alone.slots.items():
                    assert grid.slots[name][i, j] == near(slot), name


def test_a_grid_that_was_interrupted_ends_with_the_numbers_of_an_uninterrupted_one(tmp_path, monkeypatch):
    setting = SETTING | {
        "task": Bowl((9.0, 1.0), 0.1),
        "rule": RULE.at(eta=[0.1, 3e38, 0.2]),
        "seed": range(3),
    }
    whole, file = train(**setting), tmp_path / "kept.npz"
    assert whole.diverged_at.tolist() == [np.inf, 1, np.inf] and whole.t.tolist() == [0, 3, 6, 9]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 4)
        train(**setting, checkpoint=file)
    same_numbers(train(**setting, checkpoint=file), whole)
    interrupt(monkeypatch, 0)
    same_numbers(train(**setting, checkpoint=file), whole)
    with pytest.raises(ValueError, match=r"was made with seed = \[0, 1, 2\], this training has \[0, 1, 3\]"):
        train(**setting | {"seed": [0, 1, 3]}, checkpoint=file)


def test_a_grid_ends_when_each_cell_has_met_the_target_or_diverged():
    rule, every = gradient_descent.at(eta=[0.5, 0.25, 1e30]), {"task": BOWL, "steps": 60, "every": 5}
    free = train(rule, **every)
    ended = train(rule, **every, target=free.error[6, 1])
    assert ended.t[-1] == 30 and (ended.error[:, 0] < ended.error[-1, 1]).argmax() < 6


# --- Subnormal numbers ------------------------------------------------------------------------------


def test_a_training_without_gradient_comes_to_rest_exactly():
    """In float32, .9 v rounds to v from 5.6e-45 on, and each such number costs a hundred ordinary ones."""

    def step(theta, v, grad, *, gamma):
        v = gamma * v + grad(theta)
        return theta - v, v

    # A slope that ends: one push, then the velocity is on its own.
    @dataclass(frozen=True)
    class Ramp:
        def start(self, seed):
            return np.full(4, 0.5, np.float32)

        def draw(self, key):
            return 0.0

        def loss(self, theta, batch):
            return jax.nn.relu(theta).sum()

        error = lambda self, theta: self.loss(theta, 0.0)  # noqa: E731

    trained = train(Rule(step, name="coasting").at(gamma=0.9), Ramp(), 2000)
    assert trained.theta == pytest.approx(0.5 - 1 / (1 - 0.9), rel=1e-4)
    assert (trained.slots["v"] == 0).all()


# --- Checkpoints ------------------------------------------------------------------------------------

RULE = torch_sgd.at(eta=0.1, gamma=linear_ramp(0.5, 0.9, 8))
SETTING = {"rule": RULE, "task": NETWORK, "steps": 9, "every": 3, "seed": 2}


@pytest.fixture(scope="module")
def uninterrupted():
    return train(**SETTING)


def interrupt(monkeypatch, after):
    """End the process, as it were, when the piece after the first `after` is asked for."""
    piece, made = training._piece, []

    def counted(*args):
        def piece_or_end(*state):
            if len(made) == after:
                raise KeyboardInterrupt
            made.append(state)
            return piece(*args)(*state)

        return piece_or_end

    monkeypatch.setattr(training, "_piece", counted)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_training_ends_with_the_numbers_of_an_uninterrupted_one(
    after, uninterrupted, tmp_path, monkeypatch
):
    file = tmp_path / "new" / "kept.npz"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, after)
        train(**SETTING, checkpoint=file)
    assert file.exists() == (after > 1)  # the first step of torch_sgd is a piece without a record
    with monkeypatch.context() as patch:
        interrupt(patch, 4 if after == 1 else 4 - after)  # no more pieces than are left
        same_numbers(train(**SETTING, checkpoint=file), uninterrupted)


def test_a_finished_training_is_returned_without_training(uninterrupted, tmp_path, monkeypatch):
    file = tmp_path / "kept.npz"
    train(**SETTING, checkpoint=file)
    interrupt(monkeypatch, 0)
    again = train(**SETTING, checkpoint=str(file))
    same_numbers(again, uninterrupted)
    assert again.seconds > 0


def test_a_training_that_diverged_or_met_its_target_is_finished_too(tmp_path, monkeypatch):
    def both():
        for eta, target in ((50.0, None), (0.5, 0.01)):
            rule, file = heavy_ball.at(eta=eta, gamma=0.5), tmp_path / str(target)
            yield train(rule, BOWL, 200, every=10, target=target, checkpoint=file)

    lost, met = before = list(both())
    assert lost.diverged_at and met.t[-1] < 200
    interrupt(monkeypatch, 0)
    for one, again in zip(before, both(), strict=True):
        same_numbers(again, one)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (RULE.at(eta=0.2), "eta = 0.1, this training has 0.2; use the same eta, or another file"),
        (RULE.at(gamma=0.9), r"gamma = 'linear_ramp\(start=0.5, stop=0.9, steps=8\)', this training has 0.9"),
        (RULE.at(dampening=0.5), "dampening = 0, this training has 0.5"),
        (torch_nesterov.at(eta=0.1, gamma=0.5), "rule = 'torch_sgd', this training has 'torch_nesterov'"),
        ({"task": replace(NETWORK, widths=(5,))}, r"task.widths = \[4\], this training has \[5\]"),
        ({"task": replace(NETWORK, source=Digits(count=31))}, "task.source.count = 30"),
        ({"seed": 3}, "seed = 2"),
        ({"steps": 11}, "steps = 9"),
        ({"every": 5}, "every = 3"),
        ({"target": 0.1}, "target = None"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_the_setting_that_differs(change, named, tmp_path):
    file = tmp_path / "kept.npz"
    train(**SETTING, checkpoint=file)
    kept = file.read_bytes()
    with pytest.raises(ValueError, match=f"The checkpoint kept.npz was made with {named}"):
        train(**SETTING | (change if isinstance(change, dict) else {"rule": change}), checkpoint=file)
    assert file.read_bytes() == kept


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    text, archive, empty = tmp_path / "text", tmp_path / "archive.npz", tmp_path / "empty"
    text.write_text("not what it seems")
    np.savez(archive, theta=np.zeros(3))
    empty.touch()
    whole, cut, array = tmp_path / "whole.npz", tmp_path / "cut.npz", tmp_path / "array.npy"
    train(**SETTING, checkpoint=whole)
    cut.write_bytes(whole.read_bytes()[:-100])
    np.save(array, np.zeros(3))
    for file in (text, archive, empty, cut, array):
        kept = file.read_bytes()
        with pytest.raises(ValueError, match=f"{file.name} is not a checkpoint of a training .* remove it"):
            train(**SETTING, checkpoint=file)
        assert file.read_bytes() == kept


def test_a_rule_of_ones_own_is_told_by_its_body(tmp_path):
    def own(factor):
        if factor:
            return Rule(lambda theta, grad, *, eta: (theta - 2 * eta * grad(theta),), name="own")
        return Rule(lambda theta, grad, *, eta: (theta - eta * grad(theta),), name="own")

    file = tmp_path / "kept.npz"
    train(own(0).at(eta=0.1), BOWL, 3, checkpoint=file)
    train(own(0).at(eta=0.1), BOWL, 3, checkpoint=file)
    with pytest.raises(ValueError, match="was made with rule = "):
        train(own(1).at(eta=0.1), BOWL, 3, checkpoint=file)


def test_a_task_without_settings_is_not_kept(tmp_path):
    class Nameless:
        start, draw, loss, error = BOWL.start, BOWL.draw, BOWL.loss, BOWL.error

    with pytest.raises(ValueError, match="make it a frozen dataclass"):
        train(RULE, Nameless(), 3, checkpoint=tmp_path / "kept.npz")


def half_placed(path, content):
    path.write_text("half of it")
    raise KeyboardInterrupt


def killed(*args):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("name", "instead"), [("write_bytes", half_placed), ("replace", killed)])
def test_a_kill_while_writing_leaves_the_old_file(name, instead, uninterrupted, tmp_path, monkeypatch):
    file = tmp_path / "kept.npz"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 2)
        train(**SETTING, checkpoint=file)
    kept = file.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, name, instead)
        train(**SETTING, checkpoint=file)
    assert file.read_bytes() == kept
    same_numbers(train(**SETTING, checkpoint=file), uninterrupted)


# --- What is refused, what is shown -----------------------------------------------------------------

BALL = heavy_ball.at(eta=0.1, gamma=0.9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda theta, grad: theta, "is not a rule; decorate the step with @rule"),
        (heavy_ball.at(gamma=0.9), r"heavy_ball\(gamma=0.9\) leaves eta open; set it with .at\(eta="),
        (BALL.at(t=3), "frozen at t=3, and a run counts itself; leave t out"),
        (BALL.at(eta=1j), "eta is 1j; give real numbers"),
        (
            {"rule": BALL.at(eta=[0.1, 0.2]), "seed": range(3)},
            r"\(2,\) and seeds of shape \(3,\) do not broa",
        ),
        ({"seed": []}, r"make a grid of shape \(0,\); give at least one of each"),
        ({"seed": [0, 1.5]}, "seed is 1.5; give a whole number of at least 0"),
        (BALL.at(eta=1e39), "eta is inf at t = 1 in float32; make it finite"),
        (BALL.at(gamma=lambda t: 0.9 if t < 4 else np.inf), "gamma is inf at t = 4 in float32; make it"),
        ({"steps": -1}, "steps is -1; give a whole number of at least 0"),
        ({"steps": 2.0}, "steps is 2.0; give a whole number of at least 0"),
        ({"steps": 10**13}, "steps is 10000000000000; give a whole number of at most 2147483647"),
        ({"every": 0}, "every is 0; give a whole number of at least 1"),
        ({"seed": np.nan}, "seed is nan; give a whole number of at least 0"),
        ({"seed": -1}, "seed is -1; give a whole number of at least 0"),
        ({"target": "low"}, "target is 'low'; give one number"),
        ({"target": np.nan}, "target is nan, which no error meets; give a number"),
        ({"task": Classifier}, "Classifier'> is no task; give Classifier"),
        ({"task": Digits()}, r"Digits\(.*\) is no task; .* the methods start, draw, loss, error"),
        ({"measure": abs}, "measure is .*abs.*; give functions of theta by name"),
        ({"measure": {"size": 3}}, "measure is {'size': 3}; give functions of theta by name"),
        ({"measure": {"none": lambda theta: None}}, "measure 'none' is None; give one number"),
        ({"rule": BALL.at(eta=abs), "checkpoint": "kept"}, "without settings .* momentum_lib.schedules"),
        ({"rule": BALL.at(eta=then(lambda t: t, 2, 0.1)), "checkpoint": "kept"}, "then has no settings"),
    ],
)
def test_bad_input_gets_one_sentence(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = given if isinstance(given, dict) else {"rule": given}
    with pytest.raises((ValueError, RuleError), match=message):
        train(**{"rule": BALL, "task": BOWL, "steps": 6} | asked)
    assert not list(tmp_path.iterdir())


def test_a_bar_is_shown_when_asked(capsys, monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm, "tqdm", partial(tqdm.tqdm, disable=False))  # the tests switch bars off
    train(BALL, BOWL, 37, progress=True)
    assert "37" in capsys.readouterr().err
    train(BALL, BOWL, 37)
    assert capsys.readouterr().err == ""
