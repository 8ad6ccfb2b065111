"""Training: any rule on any task, its records, its ends, and going on after an interruption."""

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
    torch_nesterov,
    torch_sgd,
)
from momentum_lib.learning import Classifier, Digits, train, training

jax = pytest.importorskip("jax", reason="JAX is not installed (extra learning)")


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


def same_numbers(one, other):
    assert one.t.tolist() == other.t.tolist() and one.diverged_at == other.diverged_at
    for a, b in [(one.loss, other.loss), (one.error, other.error)]:
        assert a.tobytes() == b.tobytes()
    for name in one.rule.slots:
        assert one.slots[name].tobytes() == other.slots[name].tobytes(), name


# --- The steps --------------------------------------------------------------------------------------

SHIPPED = [rule for rule in RULES.values() if rule.__module__ == "momentum_lib.rules"]
#: One value for each letter, small enough for every rule that has it.
PLAUSIBLE = {
    **dict.fromkeys(["eta", "alpha", "delta", "eta1", "mu", "q"], 0.1),
    **dict.fromkeys(["gamma", "beta", "nu", "c"], 0.6),
    **{"eta2": 0.02, "kappa": 10.0, "xi": 2.0, "L": 1.0, "k_p": 0.1, "k_i": 0.1, "k_d": 0.05},
}


@pytest.mark.parametrize("rule", SHIPPED, ids=repr)
def test_every_rule_takes_the_steps_of_run_and_keeps_dtype_and_shape(rule):
    hyper = {name: PLAUSIBLE[name] for name in rule.hyper if name not in {"t", *rule.defaults}}
    trained = train(rule, BOWL, 6, every=3, **hyper)
    assert trained.t.tolist() == [0, 3, 6] and trained.diverged_at is None
    out = run(rule, BOWL.grad, BOWL.start(seed=0), 6, **hyper)
    for name in rule.slots:
        assert trained.slots[name].dtype == np.float32 and trained.slots[name].shape == (3,)
        assert trained.slots[name] == pytest.approx(out.slots[name][-1], rel=1e-4, abs=1e-5), name
    assert abs(trained.theta - BOWL.start(seed=0)).max() > 1e-3


def test_a_first_step_of_its_own_is_taken_once():
    hyper = {"eta": 0.1, "gamma": 0.6, "dampening": 0.5}
    assert torch_sgd.has_first_step
    trained = train(torch_sgd, BOWL, 6, every=1, **hyper)
    out = run(torch_sgd, BOWL.grad, BOWL.start(seed=0), 6, **hyper)
    errors = [float(BOWL.error(theta)) for theta in out.theta]
    assert trained.error == pytest.approx(errors, rel=1e-5)


@pytest.mark.parametrize(("rule", "flag"), [(heavy_ball, False), (torch_nesterov, True)], ids=repr)
def test_a_network_trains_as_under_optax(rule, flag):
    optax = pytest.importorskip("optax", reason="optax is not installed (extra learning)")
    task = Classifier(Digits(count=30), (4,), batch=None)
    trained = train(rule, task, 30, eta=0.1, gamma=0.9)
    theirs, batch = optax.sgd(0.1, momentum=0.9, nesterov=flag), task.draw(jax.random.key(0))

    @jax.jit
    def step(theta, state):
        updates, state = theirs.update(jax.grad(task.loss)(theta, batch), state)
        return optax.apply_updates(theta, updates), state

    theta = jax.numpy.asarray(task.start(seed=0))
    state = theirs.init(theta)
    for _ in range(30):
        theta, state = step(theta, state)
    assert trained.theta == pytest.approx(np.asarray(theta), rel=1e-3, abs=1e-5)
    assert trained.error[-1] < 0.5 * trained.error[0]


def test_a_task_of_ones_own_trains():
    trained = train(nesterov, NOISY, 300, every=5, eta=0.05, gamma=0.9)
    assert trained.error[-1] < 0.2 * trained.error[0]


def test_a_rule_of_ones_own_trains():
    def step(theta, grad, *, eta, shrink=0.0):
        return ((1 - shrink) * theta - eta * grad(theta),)

    mine = Rule(step, name="mine")
    same = train(gradient_descent, BOWL, 4, eta=0.1)
    assert train(mine, BOWL, 4, eta=0.1).theta == pytest.approx(same.theta, rel=1e-6)
    assert (abs(train(mine, BOWL, 4, eta=0.1, shrink=0.5).theta) < abs(same.theta)).all()


def test_the_loss_of_a_first_step_of_its_own_is_recorded_with_the_others():
    ours = train(torch_sgd, BOWL, 6, every=3, eta=0.1, gamma=0.5)
    same_iterates = train(heavy_ball, BOWL, 6, every=3, eta=0.1, gamma=0.5)
    np.testing.assert_allclose(ours.loss, same_iterates.loss, rtol=1e-6)


def test_t_is_one_on_the_first_step():
    asked = []
    trained = train(gradient_descent, BOWL, 3, every=2, eta=lambda t: asked.append(t) or 0.1 * t)
    assert asked == [1, 2, 3]
    theta = BOWL.start(seed=0)
    for eta in (0.1, 0.2, 0.3):
        theta = theta - eta * BOWL.grad(theta)
    assert trained.theta == pytest.approx(theta, rel=1e-5)
    told = train(gradient_descent, BOWL, 3, eta=linear_ramp(0.1, 0.3, 3))
    assert told.theta == pytest.approx(theta, rel=1e-5)
    # 1/(1 - gamma^1) makes the first step long: t reaches the rule as 1 too.
    first = train(bias_corrected, BOWL, 1, eta=0.1, gamma=0.6)
    assert first.theta == pytest.approx(BOWL.start(0) - 0.1 / 0.4 * BOWL.grad(BOWL.start(0)), rel=1e-5)


def test_without_momentum_every_rule_sees_the_batches_of_gradient_descent():
    plain = train(gradient_descent, NOISY, 12, eta=0.1)
    for rule in (heavy_ball, nesterov):
        assert train(rule, NOISY, 12, eta=0.1, gamma=0).theta == pytest.approx(plain.theta, abs=1e-6)


def test_the_same_seed_gives_the_same_numbers_another_seed_others():
    hyper = {"eta": 0.1, "gamma": 0.9}
    one, again = (train(heavy_ball, NOISY, 12, seed=3, **hyper) for _ in range(2))
    same_numbers(one, again)
    training._piece.cache_clear()  # compiled anew, as in another process
    same_numbers(one, train(heavy_ball, NOISY, 12, seed=3, **hyper))
    assert (train(heavy_ball, NOISY, 12, seed=4, **hyper).theta != one.theta).all()


def test_every_step_sees_a_batch_of_its_own():
    flat = Bowl((0.0, 0.0), noise=1.0)  # theta moves by minus eta times the push alone
    after = [flat.start(0)] + [train(gradient_descent, flat, n, eta=1.0).theta for n in (1, 2, 3)]
    pushes = np.diff(after, axis=0)
    assert len(np.unique(pushes.round(3))) == 6


# --- Records ----------------------------------------------------------------------------------------


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
    trained = train(gradient_descent, BOWL, steps, every=every, eta=0.1)
    assert trained.t.tolist() == wanted == sorted(wanted)
    assert len(trained.loss) == len(trained.error) == len(wanted)
    factor = (1 - 0.1 * np.array(BOWL.curvature)) ** np.array(wanted)[:, None]
    errors = (np.array(BOWL.curvature) * (factor * BOWL.start(seed=0)) ** 2).sum(axis=1) / 2
    assert trained.error == pytest.approx(errors, rel=1e-4)


def test_how_often_it_records_does_not_change_the_training():
    often, seldom = (train(nesterov, NOISY, 10, every=n, eta=0.1, gamma=0.9) for n in (1, 5))
    assert seldom.theta == pytest.approx(often.theta, abs=1e-6)
    assert seldom.error == pytest.approx(often.error[[0, 5, 10]], rel=1e-5)


def test_the_loss_is_the_mean_since_the_last_record_where_the_rule_reads_its_gradient():
    out = run(nesterov, BOWL.grad, BOWL.start(seed=0), 6, eta=0.1, gamma=0.9)
    read = [float(BOWL.error(x)) for x in out.queries]
    trained = train(nesterov, BOWL, 6, every=4, eta=0.1, gamma=0.9)
    assert np.isnan(trained.loss[0])
    assert trained.loss[1:] == pytest.approx([np.mean(read[:4]), np.mean(read[4:])], rel=1e-5)


def test_a_target_stops_at_the_first_record_that_meets_it():
    free = train(gradient_descent, BOWL, 60, every=5, eta=0.5)
    stopped = train(gradient_descent, BOWL, 60, every=5, eta=0.5, target=free.error[3])
    assert stopped.t.tolist() == [0, 5, 10, 15] and stopped.error[-1] == free.error[3]
    assert train(gradient_descent, BOWL, 60, eta=0.5, target=1e9).t.tolist() == [0]


# --- Divergence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [7, 1000])
def test_divergence_is_a_result_with_its_step(every):
    out = run(heavy_ball, BOWL.grad, BOWL.start(seed=0), 400, eta=5.0, gamma=0.5)
    trained = train(heavy_ball, BOWL, 400, every=every, eta=5.0, gamma=0.5)
    assert trained.diverged_at == out.diverged_at < 400
    ended = min(-(-out.diverged_at // every) * every, 400)
    assert trained.t[-1] == ended and trained.error[-1] == np.inf
    assert not np.isfinite(trained.theta).all()


def test_a_training_that_diverges_on_the_first_step_says_one():
    trained = train(gradient_descent, Bowl((100.0, 100.0)), 10, eta=3e38)
    assert trained.diverged_at == 1 and trained.t.tolist() == [0, 1]
    assert trained.error[-1] == np.inf and np.isfinite(trained.error[0])


# --- Subnormal numbers ------------------------------------------------------------------------------


def test_a_velocity_that_dies_out_reaches_zero():
    """In float32, .9 v rounds to v from 5.6e-45 on, and each such number costs a hundred ordinary ones."""
    decay = jax.jit(lambda v: jax.lax.fori_loop(0, 2000, lambda _, v: np.float32(0.9) * v, v))
    assert (np.asarray(decay(np.full(8, 1e-30, np.float32))) == 0).all()


def test_a_training_without_gradient_comes_to_rest_exactly():
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

    trained = train(Rule(step, name="coasting"), Ramp(), 2000, gamma=0.9)
    assert trained.theta == pytest.approx(0.5 - 1 / (1 - 0.9), rel=1e-4)
    assert (trained.slots["v"] == 0).all()


# --- Checkpoints ------------------------------------------------------------------------------------

SETTING = {"rule": torch_sgd, "task": NETWORK, "steps": 9, "every": 3, "seed": 2}
HYPER = {"eta": 0.1, "gamma": linear_ramp(0.5, 0.9, 8)}


@pytest.fixture(scope="module")
def uninterrupted():
    return train(**SETTING, **HYPER)


def interrupt(monkeypatch, after):
    """End the process, as it were, when the piece after the first `after` is asked for."""
    piece, made = training._piece, []

    def counted(*args):
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(args)
        return piece(*args)

    monkeypatch.setattr(training, "_piece", counted)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_training_ends_with_the_numbers_of_an_uninterrupted_one(
    after, uninterrupted, tmp_path, monkeypatch
):
    file = tmp_path / "new" / "kept.npz"
    with monkeypatch.context() as patch:
        interrupt(patch, after)
        with pytest.raises(KeyboardInterrupt):
            train(**SETTING, **HYPER, checkpoint=file)
    assert file.exists() == (after > 1)  # the first step of torch_sgd is a piece without a record
    with monkeypatch.context() as patch:
        interrupt(patch, 4 if after == 1 else 4 - after)  # no more pieces than are left
        same_numbers(train(**SETTING, **HYPER, checkpoint=file), uninterrupted)


def test_a_finished_training_is_returned_without_training(uninterrupted, tmp_path, monkeypatch):
    file = tmp_path / "kept.npz"
    train(**SETTING, **HYPER, checkpoint=file)
    interrupt(monkeypatch, 0)
    again = train(**SETTING, **HYPER, checkpoint=str(file))
    same_numbers(again, uninterrupted)
    assert again.seconds > 0


def test_a_training_that_diverged_or_met_its_target_is_finished_too(tmp_path, monkeypatch):
    lost = {"eta": 50.0, "gamma": 0.5, "checkpoint": tmp_path / "lost"}
    met = {"eta": 0.5, "gamma": 0.5, "target": 0.01, "checkpoint": tmp_path / "met"}
    before = [train(heavy_ball, BOWL, 200, every=10, **hyper) for hyper in (lost, met)]
    assert before[0].diverged_at and before[1].t[-1] < 200
    interrupt(monkeypatch, 0)
    for one, hyper in zip(before, (lost, met), strict=True):
        same_numbers(train(heavy_ball, BOWL, 200, every=10, **hyper), one)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"eta": 0.2}, "eta = 0.1, this training has 0.2; use the same eta, or another file"),
        ({"gamma": 0.9}, r"gamma = 'linear_ramp\(start=0.5, stop=0.9, steps=8\)', this training has 0.9"),
        ({"task": replace(NETWORK, widths=(5,))}, r"task.widths = \[4\], this training has \[5\]"),
        ({"task": replace(NETWORK, source=Digits(count=31))}, "task.source.count = 30"),
        ({"seed": 3}, "seed = 2"),
        ({"rule": torch_nesterov}, "rule = 'torch_sgd', this training has 'torch_nesterov'"),
        ({"steps": 11}, "steps = 9"),
        ({"every": 5}, "every = 3"),
        ({"target": 0.1}, "target = None"),
        ({"dampening": 0.5}, "dampening = None"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_the_setting_that_differs(change, named, tmp_path):
    file = tmp_path / "kept.npz"
    train(**SETTING, **HYPER, checkpoint=file)
    kept = file.read_bytes()
    with pytest.raises(ValueError, match=f"The checkpoint kept.npz was made with {named}"):
        train(**{**SETTING, **HYPER, **change}, checkpoint=file)
    assert file.read_bytes() == kept


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    text, archive, empty = tmp_path / "text", tmp_path / "archive.npz", tmp_path / "empty"
    text.write_text("not what it seems")
    np.savez(archive, theta=np.zeros(3))
    empty.touch()
    whole, cut, array = tmp_path / "whole.npz", tmp_path / "cut.npz", tmp_path / "array.npy"
    train(**SETTING, **HYPER, checkpoint=whole)
    cut.write_bytes(whole.read_bytes()[:-100])
    np.save(array, np.zeros(3))
    for file in (text, archive, empty, cut, array):
        kept = file.read_bytes()
        with pytest.raises(ValueError, match=f"{file.name} is not a checkpoint of a training .* remove it"):
            train(**SETTING, **HYPER, checkpoint=file)
        assert file.read_bytes() == kept


def test_a_rule_of_ones_own_is_told_by_its_body(tmp_path):
    def own(factor):
        if factor:
            return Rule(lambda theta, grad, *, eta: (theta - 2 * eta * grad(theta),), name="own")
        return Rule(lambda theta, grad, *, eta: (theta - eta * grad(theta),), name="own")

    file = tmp_path / "kept.npz"
    train(own(0), BOWL, 3, eta=0.1, checkpoint=file)
    train(own(0), BOWL, 3, eta=0.1, checkpoint=file)
    with pytest.raises(ValueError, match="was made with rule = "):
        train(own(1), BOWL, 3, eta=0.1, checkpoint=file)


def test_a_task_without_settings_is_not_kept(tmp_path):
    class Nameless:
        start, draw, loss, error = BOWL.start, BOWL.draw, BOWL.loss, BOWL.error

    with pytest.raises(ValueError, match="make it a frozen dataclass"):
        train(heavy_ball, Nameless(), 3, **HYPER, checkpoint=tmp_path / "kept.npz")


def half_written(file, **arrays):
    file.write(b"PK half of it")
    raise KeyboardInterrupt


def half_placed(path, content):
    with path.open("wb") as stream:
        stream.write(content[: len(content) // 2])
    raise KeyboardInterrupt


def killed(*args):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [(np, "savez", half_written), (Path, "write_bytes", half_placed), (Path, "replace", killed)],
    ids=["write", "half placed", "move"],
)
def test_a_kill_while_writing_leaves_the_old_file(owner, name, instead, uninterrupted, tmp_path, monkeypatch):
    file = tmp_path / "kept.npz"
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(**SETTING, **HYPER, checkpoint=file)
    kept = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, instead)
        with pytest.raises(KeyboardInterrupt):
            train(**SETTING, **HYPER, checkpoint=file)
    assert file.read_bytes() == kept
    same_numbers(train(**SETTING, **HYPER, checkpoint=file), uninterrupted)


# --- What is refused, what is shown -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": lambda theta, grad: theta}, "train takes a rule first, got .*; decorate the step"),
        ({"etta": 0.1}, "did you mean eta"),
        ({"eta": None, "drop": "eta"}, "heavy_ball needs eta"),
        ({"t": 3}, "gets its step count t from the training; leave t out"),
        ({"eta": [0.1, 0.2]}, r"eta has shape \(2,\); give one number or a schedule, or use carry_out"),
        ({"eta": float("nan")}, "eta=nan; give a finite number"),
        ({"gamma": lambda t: 0.9 if t < 4 else np.inf}, "gives inf at t = 4; make it finite"),
        ({"steps": -1}, "steps is -1; give a whole number from 0"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"every": 0}, "every is 0; give a whole number from 1"),
        ({"eta": lambda t: 0.1, "checkpoint": "kept"}, "function without settings .* momentum_lib.schedules"),
    ],
)
def test_bad_input_gets_one_sentence(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = {"rule": heavy_ball, "task": BOWL, "steps": 6, "eta": 0.1, "gamma": 0.9} | change
    if dropped := asked.pop("drop", None):
        del asked[dropped]
    with pytest.raises((ValueError, RuleError), match=message):
        train(**asked)
    assert not list(tmp_path.iterdir())


def test_a_bar_is_shown_when_asked(capsys, monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm, "tqdm", partial(tqdm.tqdm, disable=False))  # the tests switch bars off
    train(gradient_descent, BOWL, 37, eta=0.1, progress=True)
    assert "37" in capsys.readouterr().err
    train(gradient_descent, BOWL, 37, eta=0.1)
    assert capsys.readouterr().err == ""
