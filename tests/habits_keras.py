"""What an optimizer lives through under Keras, habit by habit, in a process of its own for each backend.

Run as ``KERAS_BACKEND=torch python habits_keras.py``: prints null or what went wrong for each, as JSON.
Momentum is 1/2 in float64: 0.9 loses digits in Keras's own SGD on TensorFlow (test_frameworks.py).
"""

import json
import tempfile
import traceback
from pathlib import Path

import numpy as np

from momentum_lib import (
    RULES,
    RuleError,
    aggregated,
    as_keras,
    clipped,
    gradient_descent,
    heavy_ball,
    keras_nesterov,
    keras_sgd,
    linear_ramp,
    mass,
    nesterov,
    polyak_two_step,
    rule,
    run,
    torch_nesterov,
    torch_sgd,
)
from momentum_lib.nonlinear import adam, lion, nadam, normalized_momentum, signum

STEPS, ETA, GAMMA = 12, 0.05, 0.5
FLAT = np.array([0.3, 0.2, -0.1])
CURVATURES = np.array([0.5, 2.0, 6.0])
HABITS = {}


def habit(function):
    HABITS[function.__name__] = function
    return function


def grad(theta):
    return CURVATURES * (theta - 1)


def apart(ours, theirs):
    assert np.abs(np.asarray(ours)).max() > 0.01
    return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())


def iterates(optimizer, steps=STEPS, late=False):
    """Steps with gradients of ours, on a second variable too, which may come late."""
    import keras

    theta, other = (keras.Variable(FLAT, dtype="float64") for _ in range(2))
    optimizer.build([theta, other])
    rows = [FLAT]
    for t in range(1, steps + 1):
        pairs = [(keras.ops.convert_to_tensor(grad(rows[-1])), theta)]
        if not late or t >= 3:
            pairs.append((keras.ops.ones(3, "float64"), other))
        optimizer.apply_gradients(pairs)
        rows.append(np.array(keras.ops.convert_to_numpy(theta)))
    return np.array(rows), np.array(keras.ops.convert_to_numpy(other))


def trained(optimizer, model=None, epochs=2, floatx="float64", callbacks=()):
    """The model and its weights after a fit, compiled as Keras compiles."""
    import keras

    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)  # else that of the first model stays
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = model or keras.Sequential([keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(1)])
    if optimizer is not None:
        model.compile(optimizer=optimizer, loss="mse")
    x = np.linspace(-2, 2, 80).reshape(20, 4)
    y = np.sin(x).sum(1, keepdims=True)
    model.fit(x, y, 5, epochs, shuffle=False, verbose=0, callbacks=[*callbacks])
    keras.config.set_floatx("float64")
    return model, np.concatenate([w.ravel() for w in model.get_weights()])


#: Rules, Keras's own flags of SGD that take their steps, and the floats they are trained in. Decays that
#: float32 holds exactly.
OWN = [
    (heavy_ball, {}, None),
    (torch_sgd, {}, "float32"),
    (polyak_two_step, {}, "float64"),
    (keras_sgd.at(weight_decay=0.125), {"weight_decay": 0.125}, "float64"),
    (keras_nesterov.at(weight_decay=0.125), {"nesterov": True, "weight_decay": 0.125}, "float64"),
    (torch_nesterov, {"nesterov": True}, "float32"),
]


@habit
def every_linear_rule_that_reads_at_theta_takes_the_steps_of_run():
    letters = {"kappa": 50.0, "xi": 3.0, "eta": 0.1, "alpha": 0.1, "delta": 0.1}
    carried = []
    for r in RULES.values():
        if r.card["Gradient read at"] == "theta" and len(r.step_letters) == 1:
            at = r.at(**{n: letters.get(n, 0.3) for n in r.hyper if n != "t"})
            rows, _ = iterates(as_keras(at))
            assert apart(rows, run(at, grad, FLAT, STEPS).theta) < 1e-12, r
            carried.append(r.name)
    assert len(carried) >= 12, carried


@habit
def a_letter_may_be_a_function_of_t():
    import keras

    shape = keras_sgd.at(eta=lambda t: 0.1 / t, gamma=lambda t: 0.5 - 0.25 / t)
    assert apart(iterates(as_keras(shape))[0], run(shape, grad, FLAT, STEPS).theta) < 1e-12
    law = keras.optimizers.schedules.InverseTimeDecay(ETA, 1, 1)  # eta / (1 + step)
    ours = trained(as_keras(keras_sgd.at(eta=lambda t: ETA / t, gamma=GAMMA)))[1]
    assert apart(ours, trained(keras.optimizers.SGD(law, GAMMA))[1]) < 1e-7  # TensorFlow counts in float32


@habit
def its_steps_are_those_of_keras_own_sgd_eager_and_compiled():
    import keras

    for r, flags, floatx in OWN:
        ours, theirs = as_keras(r.at(eta=ETA, gamma=GAMMA)), keras.optimizers.SGD(ETA, GAMMA, **flags)
        assert apart(iterates(ours)[0], iterates(theirs)[0]) < 1e-12, r
        if floatx:
            gamma, tolerance = {"float64": (GAMMA, 1e-12), "float32": (0.9, 1e-6)}[floatx]
            ours = trained(as_keras(r.at(eta=0.02, gamma=gamma)), floatx=floatx)[1]
            theirs = trained(keras.optimizers.SGD(0.02, gamma, **flags), floatx=floatx)[1]
            assert ours.dtype == floatx and apart(ours, theirs) < tolerance, (r, floatx)


@habit
def keras_own_schedules_are_taken():
    import keras

    make, sgd = keras.optimizers.schedules, keras.optimizers.SGD
    for law in (
        lambda: make.ExponentialDecay(ETA, 3, 0.5),
        lambda: make.PiecewiseConstantDecay([2, 6], [0.05, 0.02, 0.01]),
        lambda: make.PolynomialDecay(ETA, 8, 0.01),
        lambda: make.CosineDecay(ETA, 8, warmup_target=0.08, warmup_steps=3),
        lambda: make.CosineDecayRestarts(ETA, 4),
    ):
        ours = iterates(as_keras(keras_sgd.at(eta=law(), gamma=GAMMA)))[0]
        assert apart(ours, iterates(sgd(law(), GAMMA))[0]) < 1e-12, law()
    ours = trained(as_keras(keras_sgd.at(eta=law(), gamma=GAMMA)))[1]
    assert apart(ours, trained(sgd(law(), GAMMA))[1]) < 1e-12


@habit
def callbacks_set_its_learning_rate():
    import keras

    calls = keras.callbacks
    for make in (
        lambda: calls.LearningRateScheduler(lambda epoch: ETA / (1 + epoch)),
        lambda: calls.ReduceLROnPlateau("loss", 0.1, 0, min_delta=1e3),
    ):
        model, ours = trained(as_keras(keras_sgd.at(eta=ETA, gamma=GAMMA)), callbacks=[make()])
        assert apart(ours, trained(keras.optimizers.SGD(ETA, GAMMA), callbacks=[make()])[1]) < 1e-12
        assert float(model.optimizer.learning_rate) < 0.6 * ETA


@habit
def what_every_keras_optimizer_takes_is_taken():
    import keras

    sgd, scaled = keras.optimizers.SGD, keras.optimizers.LossScaleOptimizer
    at = torch_sgd.at(eta=ETA, gamma=GAMMA)
    for options in (
        {"global_clipnorm": 0.1},
        {"clipvalue": 0.01},
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_overwrite_frequency": 3},
        {"weight_decay": 0.125},
    ):
        plain, ours = iterates(as_keras(at))[0], iterates(as_keras(at, **options))[0]
        assert apart(ours, iterates(sgd(ETA, GAMMA, **options))[0]) < 1e-12 < apart(ours, plain), options
    options = {"gradient_accumulation_steps": 2}
    assert apart(trained(as_keras(at, **options))[1], trained(sgd(ETA, GAMMA, **options))[1]) < 1e-12
    assert apart(trained(scaled(as_keras(at)))[1], trained(scaled(sgd(ETA, GAMMA)))[1]) < 1e-12


@habit
def t_counts_the_optimizers_steps():
    """Of accumulated gradients one, and for a variable that comes late too."""
    first = torch_sgd.at(eta=0.1, gamma=GAMMA, dampening=0.5)
    _, late = iterates(as_keras(first), steps=4, late=True)
    b3, b4 = 0.5, 0.5 * GAMMA + 0.5  # steps 3 and 4 are dampened: neither is the first
    assert apart(late, FLAT - 0.1 * (b3 + b4)) < 1e-12
    rows, _ = iterates(as_keras(first, gradient_accumulation_steps=2), steps=4)
    ours = run(first, lambda theta: grad(theta), FLAT, 2).theta
    assert apart(rows[[0, 2, 4]], ours) < 1e-12


@habit
def a_saved_model_goes_on_where_it_stopped():
    import keras

    law = keras.optimizers.schedules.ExponentialDecay(ETA, 3, 0.5)
    for r in (torch_sgd.at(eta=ETA, gamma=GAMMA, dampening=0.5), polyak_two_step.at(eta=law, gamma=GAMMA)):
        half = trained(as_keras(r, global_clipnorm=5.0))[0]
        with tempfile.TemporaryDirectory() as folder:
            half.save(Path(folder, "half.keras"))
            again = keras.models.load_model(Path(folder, "half.keras"))
        assert apart(trained(None, again)[1], trained(None, half)[1]) < 1e-12, r
        assert again.optimizer.global_clipnorm == 5.0
    made = keras.optimizers.deserialize(
        keras.optimizers.serialize(as_keras(torch_nesterov.at(eta=1, gamma=0.3)))
    )
    assert (made.get_config()["rule"], made.get_config()["letters"]["gamma"]) == ("torch_nesterov", 0.3)


@habit
def what_a_file_cannot_keep_is_refused():
    import keras

    refused(
        lambda: as_keras(aggregated((0, 0.5)).at(eta=ETA)).get_config(), "found under no name.*the weights"
    )
    config = as_keras(heavy_ball.at(eta=ETA, gamma=GAMMA)).get_config()
    kind = type(as_keras(heavy_ball.at(eta=ETA, gamma=GAMMA)))
    refused(
        lambda: kind.from_config({**config, "rule": "nobodys"}), "no rule 'nobodys' is known here; import"
    )
    assert keras.saving.get_registered_name(kind) == "momentum_lib>RuleOptimizer"


@habit
def a_students_own_rule_trains_and_is_saved():
    import keras

    @rule
    def own(theta, v, w, grad, *, lr, keep):
        g = grad(theta)
        v, w = w, keep * v + lr * g  # two buffers that change places
        return theta - v - w, v, w

    at = own.at(lr=0.02, keep=0.3)
    assert apart(iterates(as_keras(at))[0], run(at, grad, FLAT, STEPS).theta) < 1e-12
    made = keras.optimizers.deserialize(keras.optimizers.serialize(as_keras(at)))
    assert (
        apart(iterates(made)[0], run(at, grad, FLAT, STEPS).theta) < 1e-8
    )  # its rate is a float32 or a float64
    RULES.pop("own")


@habit
def an_embeddings_gradient_is_taken():
    import keras

    ends = []
    for optimizer in (as_keras(heavy_ball.at(eta=ETA, gamma=GAMMA)), keras.optimizers.SGD(ETA, GAMMA)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.layers.Embedding(7, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
        )
        model.compile(optimizer=optimizer, loss="mse")
        model.fit(np.array([[1, 2], [2, 5]]), np.ones((2, 1)), 1, 4, shuffle=False, verbose=0)
        ends.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    assert apart(*ends) < 1e-12


@habit
def rules_that_are_not_linear_go_as_far_as_the_backend_does():
    import keras

    ramp = keras_sgd.at(eta=ETA, gamma=linear_ramp(0.1, 0.5, 9))
    for r in (ramp, *(r.at(eta=0.02) for r in (adam, nadam, lion, signum.at(gamma=GAMMA)))):
        assert apart(iterates(as_keras(r))[0], run(r, grad, FLAT, STEPS).theta) < 1e-12, r
    ours = trained(as_keras(adam.at(eta=0.02, eps=1e-16)))[1]
    compiled = keras.backend.backend() == "tensorflow"  # where t is a float32, and so are powers of the betas
    theirs = trained(keras.optimizers.Adam(0.02, epsilon=1e-16))[1]
    assert apart(ours, theirs) < (2e-6 if compiled else 1e-12)
    if compiled:
        root = as_keras(keras_sgd.at(eta=ETA, gamma=lambda t: 0.5 / np.sqrt(t)))
        refused(lambda: trained(root), "keras_sgd calls NumPy's functions within a step that Keras compiles")


@habit
def what_keras_has_no_place_for_is_refused():
    refused(lambda: as_keras(nesterov.at(eta=1, gamma=0.5)), r"theta - gamma\*v, and only.*torch_nesterov")
    for r in (
        clipped(heavy_ball).at(eta=1, gamma=0.5, threshold=1),
        normalized_momentum.at(eta=1, gamma=0.5),
    ):
        refused(lambda r=r: as_keras(r), "looks at whole points, and Keras hands over one variable at a time")
    refused(
        lambda: as_keras(mass.at(eta1=1, eta2=1, gamma=0.5)), "the step sizes eta1 and eta2, and Keras one"
    )
    refused(
        lambda: as_keras(RULES["chebyshev"].at(mu=1, L=2)), "has no step size, and Keras one learning_rate"
    )
    refused(lambda: as_keras(heavy_ball.at(eta=1)), "leaves gamma open")
    refused(
        lambda: as_keras(heavy_ball.at(eta=1, gamma=[0.1, 0.2])), r"gamma is \(0.1, 0.2\); give one number"
    )
    refused(lambda: as_keras(gradient_descent.at(eta=0.9j)), "eta is 0.9j; give one number")
    refused(lambda: as_keras("heavy_ball"), "is a name, not a rule")


def refused(act, sentence):
    import re

    try:
        act()
    except RuleError as error:
        assert re.search(sentence, str(error)), str(error)
    else:
        raise AssertionError(f"taken; expected: {sentence}")


if __name__ == "__main__":
    import keras

    keras.config.set_floatx("float64")
    found = {}
    for name, check in HABITS.items():
        try:
            found[name] = check()
        except Exception:
            found[name] = traceback.format_exc()[-2000:]
    print(json.dumps({"backend": keras.backend.backend(), "found": found}))
