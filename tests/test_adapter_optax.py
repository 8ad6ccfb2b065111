"""A rule under optax lives as optax's own optimizers do: wrapped, scheduled, traced, batched, sharded."""

import os
import subprocess
import sys

import numpy as np
import pytest

from momentum_lib import (
    Rule,
    RuleError,
    adam,
    adamw,
    as_optax,
    averaged_heavy_ball,
    clipped,
    cosine_decay,
    ema_mixture,
    fixed_restart,
    gradient_restart,
    heavy_ball,
    linear_ramp,
    lion,
    lookahead,
    muon,
    nadam,
    nesterov,
    nesterov_sequence,
    nesterov_simple,
    normalized_momentum,
    optimistic_gradient,
    schedule_free,
    signum,
    step_schedule,
    sutskever,
    then,
    torch_nesterov,
    torch_sgd,
    warmup,
)
from momentum_lib.clock import Clock
from momentum_lib.parts import Parts

optax = pytest.importorskip("optax", reason="optax is not installed (extra learning)")
jax = pytest.importorskip("jax")
jnp = jax.numpy

ETA, GAMMA = 0.1, 0.9
OURS = torch_sgd.at(eta=ETA, gamma=GAMMA)


@pytest.fixture(autouse=True)
def doubles():
    with jax.enable_x64(True):
        yield


def start():
    return {"w": jnp.linspace(-1, 2, 6).reshape(2, 3), "deep": [jnp.array([0.3, -0.2]), jnp.array(0.7)]}


def loss(params):
    bowl = sum((k + 1) * (x**2).sum() for k, x in enumerate(jax.tree.leaves(params)))
    return bowl / 2 + jnp.sin(params["w"]).sum()


def iterates(optimizer, steps=12, **extra):
    params, grad = start(), jax.grad(loss)

    @jax.jit
    def step(state, params):
        updates, state = optimizer.update(grad(params), state, params, **extra)
        return state, optax.apply_updates(params, updates)

    state, rows = optimizer.init(params), []
    for _ in range(steps):
        state, params = step(state, params)
        rows.append(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)]))
    return np.array(rows)


def by_name(params):
    return {"w": "fast", "deep": "still"}


#: What optax's users wrap an optimizer in; each takes `make(eta)` and gives an optimizer.
HABITS = {
    "plain": lambda make: make(ETA),
    "chain": lambda make: optax.chain(optax.clip_by_global_norm(0.5), make(ETA)),
    "chain, the step clipped": lambda make: optax.chain(make(ETA), optax.clip_by_global_norm(0.01)),
    "weight decay before": lambda make: optax.chain(optax.add_decayed_weights(0.1), make(ETA)),
    "masked": lambda make: optax.masked(make(ETA), {"w": True, "deep": [False, True]}),
    "partition": lambda make: optax.partition({"fast": make(ETA), "still": make(ETA / 10)}, by_name),
    "MultiSteps": lambda make: optax.MultiSteps(make(ETA), every_k_schedule=3),
    "apply_if_finite": lambda make: optax.apply_if_finite(make(ETA), 3),
    "flatten": lambda make: optax.flatten(make(ETA)),
    "inject_hyperparams": lambda make: optax.inject_hyperparams(make)(eta=ETA),
    "inject_hyperparams with a schedule": lambda make: optax.inject_hyperparams(make)(
        eta=optax.cosine_decay_schedule(ETA, 10)
    ),
}


def native_sgd(eta):
    return optax.sgd(eta, GAMMA)


@pytest.mark.parametrize("habit", HABITS)
def test_a_habit_of_optax_moves_ours_as_its_own_sgd(habit):
    native = iterates(HABITS[habit](native_sgd))
    ours = iterates(HABITS[habit](lambda eta: as_optax(torch_sgd.at(eta=eta, gamma=GAMMA))))
    assert np.abs(native[-1] - native[0]).max() > 1e-3, "nothing moved"
    assert np.abs(ours - native).max() <= 1e-12


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("rule", "flag"), [(torch_sgd, False), (torch_nesterov, True)], ids=repr)
def test_both_flags_of_optaxs_sgd(rule, flag, gamma):
    ours = iterates(as_optax(rule.at(eta=ETA, gamma=gamma)))
    assert np.abs(ours - iterates(optax.sgd(ETA, gamma, nesterov=flag))).max() <= 1e-12


def test_a_look_ahead_without_a_gradient_function_says_what_to_use():
    with pytest.raises(RuleError, match=r"theta - gamma\*v.*pass grad_fn=jax.grad.*torch_nesterov"):
        iterates(as_optax(nesterov.at(eta=ETA, gamma=GAMMA)))
    with pytest.raises(RuleError, match="update.gradients, state, params."):
        as_optax(OURS).update(start(), as_optax(OURS).init(start()))


def test_a_students_rule_trains_a_jax_model():
    """A tree of parameters, in a chain with another transformation, in float32, jitted and donated."""

    @Rule
    def own(theta, v, w, grad, *, eta, gamma):
        g = grad(theta - gamma * v / 2)
        v, w = gamma * v + eta * g, gamma**2 * w + eta * g / 2
        return theta - v - w, v, w

    key = jax.random.PRNGKey(0)
    params = {"in": 0.5 * jax.random.normal(key, (4, 8), "float32"), "out": jnp.ones(8, "float32") / 8}
    data = jnp.linspace(-2, 2, 80, dtype="float32").reshape(20, 4)

    def error(p):
        return ((jnp.tanh(data @ p["in"]) @ p["out"] - jnp.sin(data).sum(1)) ** 2).mean()

    mine = as_optax(own.at(eta=0.05, gamma=linear_ramp(0.5, 0.8, 9)))
    optimizer = optax.chain(optax.clip_by_global_norm(10.0), mine)

    def step(params, state):
        value, gradient = jax.value_and_grad(error)(params)
        updates, state = optimizer.update(gradient, state, params, grad_fn=jax.grad(error))
        return optax.apply_updates(params, updates), state, value

    step, state, errors = jax.jit(step, donate_argnums=(0, 1)), optimizer.init(params), []
    for _ in range(60):
        params, state, value = step(params, state)
        errors.append(float(value))
    assert errors[-1] < errors[0] / 5
    assert params["in"].dtype == "float32"


def test_a_gradient_that_is_not_finite_is_skipped():
    optimizer = optax.apply_if_finite(as_optax(OURS), 3)
    state = optimizer.init(start())
    updates, after = optimizer.update(jax.tree.map(lambda x: x * jnp.nan, start()), state, start())
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(updates))
    assert jax.tree.all(jax.tree.map(np.array_equal, after.inner_state, state.inner_state))


def test_the_state_is_shaped_and_typed_as_the_parameters():
    params = start() | {"half": jnp.ones(2, jnp.bfloat16)}
    optimizer = as_optax(adam.at(eta=ETA))
    state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(params, state, params)
    like, *made = (
        jax.tree.map(lambda x: (x.shape, x.dtype), tree)
        for tree in (params, *state.slots, *after.slots, updates)
    )
    assert made == [like] * 5
    assert optax.tree.get(after, "t") == 1


def final(steps=6, **letters):
    optimizer, params = as_optax(heavy_ball.at(**{"eta": ETA, "gamma": GAMMA} | letters)), start()
    state = optimizer.init(params)
    for _ in range(steps):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    return loss(params)


def test_a_batch_of_settings_is_the_loop_over_them():
    etas = jnp.array([0.01, 0.03, 0.1])
    for gamma in (GAMMA, nesterov_sequence(), linear_ramp(0.5, 0.9, 4)):
        alone = jax.jit(lambda eta, g=gamma: final(eta=eta, gamma=g))
        assert jax.vmap(alone)(etas) == pytest.approx([float(alone(eta)) for eta in etas], rel=1e-12)


@pytest.mark.parametrize(("letter", "at"), [("eta", ETA), ("gamma", GAMMA)])
def test_the_gradient_with_respect_to_a_setting_is_the_slope(letter, at):
    value, h = jax.jit(lambda x: final(**{letter: x})), 1e-5
    slope = float(value(at + h) - value(at - h)) / (2 * h)
    assert abs(slope) > 1e-3
    assert jax.grad(value)(at) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(
    "schedule",
    [
        warmup(0.1, 5), linear_ramp(0.1, 0.01, 7), step_schedule([0.1, 0.05, 0.01], [3, 6]),
        sutskever(0.99, 3), nesterov_simple(), nesterov_sequence(), then(0.1, 4, 0.05),
        then(warmup(0.1, 3), 3, cosine_decay(0.1, 0.01, 6)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_schedule_traced_is_the_schedule_called(schedule):
    traced = [float(jax.jit(schedule)(jnp.asarray(t))) for t in range(1, 13)]
    assert traced == pytest.approx([schedule(t) for t in range(1, 13)], rel=1e-15)
    assert "callback" not in str(jax.make_jaxpr(schedule)(jnp.asarray(3))), "nothing asks the host"
    for late in (2**14, 2**14 + 1, 10**5):
        assert float(schedule(jnp.asarray(late))) == pytest.approx(schedule(late), rel=1e-9)


#: A rule, and what optax has for it. Whole-point rules see the whole tree, as optax's global norm does.
THEIRS = [
    (clipped(OURS).at(threshold=0.5), lambda: HABITS["chain"](native_sgd)),
    (clipped(OURS, "step").at(threshold=0.01), lambda: HABITS["chain, the step clipped"](native_sgd)),
    (adam.at(eta=ETA), lambda: optax.adam(ETA)),
    (adamw.at(eta=ETA, weight_decay=0.01), lambda: optax.adamw(ETA, weight_decay=0.01)),
    (nadam.at(eta=ETA), lambda: optax.nadam(ETA)),
    (lion.at(eta=ETA), lambda: optax.lion(ETA, weight_decay=0)),
    (
        signum.at(eta=ETA, gamma=GAMMA),
        lambda: optax.chain(optax.ema(GAMMA, debias=False), optax.scale_by_sign(), optax.scale(-ETA)),
    ),
    (optimistic_gradient.at(eta=ETA, gamma=0.5), lambda: optax.optimistic_gradient_descent(ETA, beta=0.5)),
]


@pytest.mark.parametrize(("rule", "theirs"), THEIRS, ids=[repr(rule) for rule, _ in THEIRS])
def test_a_rule_jitted_on_a_tree_is_optaxs_own(rule, theirs):
    assert np.abs(iterates(as_optax(rule)) - iterates(theirs())).max() <= 1e-12


def test_muon_turns_the_matrix_of_a_tree_as_optaxs():
    ours = iterates(as_optax(muon.at(eta=ETA, gamma=GAMMA)))
    both_axes = optax.contrib.MuonDimensionNumbers()
    turned = optax.contrib.scale_by_muon(
        beta=0.0, eps=1e-7, nesterov=False,
        weight_dimension_numbers=lambda tree: jax.tree.map(lambda _: both_axes, tree),
    )  # fmt: skip
    momentum = optax.trace(GAMMA, nesterov=True), optax.scale(1 - GAMMA)
    native = optax.chain(*momentum, turned, optax.scale(-ETA))
    together = iterates(optax.partition({"fast": native, "still": optax.set_to_zero()}, by_name))
    assert np.abs(ours[:, 3:] - together[:, 3:]).max() <= 1e-12
    assert (ours[-1, :3] != together[-1, :3]).all(), "vectors move too, as columns"


NEWER = [
    schedule_free.at(eta=ETA, beta=0.9),
    averaged_heavy_ball.at(eta=ETA, gamma=GAMMA, k=1),
    ema_mixture.at(eta=ETA, alpha=3, beta1=0.9, beta3=0.99),
    gradient_restart.at(eta=ETA),
    fixed_restart.at(eta=ETA, period=4.5),
    normalized_momentum.at(eta=ETA, gamma=GAMMA),
    muon.at(eta=ETA, weight_decay=0.1),
    lookahead(adam.at(eta=ETA)).at(sync_period=5, slow_step_size=0.5),
    lookahead(torch_sgd.at(eta=ETA, gamma=GAMMA, dampening=0.3)).at(sync_period=5, slow_step_size=0.5),
]


@pytest.mark.parametrize("rule", NEWER, ids=repr)
def test_a_rule_jitted_on_a_tree_is_the_rule_stepped_by_numpy(rule):
    """What optax has no like of; the points where a gradient is read come back as the tree."""
    shape, grad = jax.tree.structure(start()), jax.grad(loss)

    def ask(x):
        return Parts(map(np.asarray, jax.tree.leaves(grad(shape.unflatten(x.parts)))))

    clock, state, rows = Clock(rule), rule.init(Parts(map(np.asarray, jax.tree.leaves(start())))), []
    for t in range(1, 13):
        state = clock.advance(state, ask, t)
        rows.append(np.concatenate([np.ravel(part) for part in state[0].parts]))
    ours = iterates(as_optax(rule), grad_fn=grad)
    assert np.abs(ours - rows).max() <= 1e-12 and np.abs(ours[-1] - ours[0]).max() > 1e-3


SHARDED = """
import jax, optax, numpy as np
from jax.sharding import PartitionSpec as P
from momentum_lib import as_optax, clipped, torch_sgd
mesh = jax.make_mesh((4,), ("x",))
there = jax.sharding.NamedSharding(mesh, P("x"))
params = {"w": jax.device_put(np.ones((8, 3), np.float32), there)}
optimizer = as_optax(clipped(torch_sgd.at(eta=0.1, gamma=0.9)).at(threshold=1.0))
state = optimizer.init(params)
assert state.slots[0]["w"].sharding.is_equivalent_to(there, 2), state.slots[0]["w"].sharding
for _ in range(2):
    updates, state = jax.jit(optimizer.update)(params, state, params)
    params = optax.apply_updates(params, updates)
for leaf in jax.tree.leaves((params, updates, state.slots)):
    assert leaf.sharding.is_equivalent_to(there, 2) and len(leaf.sharding.device_set) == 4, leaf.sharding
"""


def test_sharded_parameters_stay_sharded():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=os.environ | flags, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_setting_with_an_axis_is_refused_traced_or_not():
    for given in ([0.1, 0.2], jnp.array([0.1, 0.2])):
        with pytest.raises(RuleError, match="eta is .*; give one number"):
            as_optax(heavy_ball.at(eta=given, gamma=0.9))
