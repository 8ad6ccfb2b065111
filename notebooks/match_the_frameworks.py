"""How the figures of notebook 12 look, and the loop that Keras runs in a process for each of its backends."""

import numpy as np

from momentum_lib import THEORY, rule_style

DIFFERENCES = (
    "How far the iterates of each framework lie from those of its rule, one mark a step: at the rounding of "
    "float64, and for Keras on TensorFlow of float32. It shows agreement, not accuracy."
)
COASTING = (
    "Step lengths on a constant slope when eta falls: PyTorch obeys at once, Keras fades by gamma a step "
    "(dashed: formula). It does not show which of the two trains better."
)
LEAST = 1e-18  # where a difference of exactly zero is drawn on a log axis


def slope(x, y):
    """Gradient of Rosenbrock's function, in numbers."""
    return [2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)]


def keras_iterates(start, slope, rates, **flags):
    """Iterates of keras.optimizers.SGD, one learning rate a step, in float64."""
    import keras

    keras.config.set_floatx("float64")
    theta = keras.Variable(start, dtype="float64")
    optimizer = keras.optimizers.SGD(rates[0], **flags)
    optimizer.build([theta])
    rows = [start]
    for rate in rates:
        optimizer.learning_rate = rate
        gradient = keras.ops.convert_to_tensor(slope(*rows[-1]), dtype="float64")
        optimizer.apply([gradient], [theta])
        rows.append(keras.ops.convert_to_numpy(theta).tolist())
    return rows


def draw_differences(differences, ax):
    """One row a comparison, one mark a step; the roundings of float64 and float32 as lines."""
    for row, (name, found) in enumerate(differences.items()):
        color = rule_style("nesterov" if "nesterov" in name else "heavy_ball")["color"]
        at = np.full(len(found), row)
        ax.semilogx(np.maximum(found, LEAST), at, "|", color=color, markersize=11, alpha=0.6)
    ax.set_yticks(range(len(differences)), list(differences))
    for size, name in ((2.0**-53, "float64"), (2.0**-24, "float32")):
        ax.axvline(size, **THEORY)
        ax.annotate(f"{name}'s rounding", (size, -0.75), (4, 0), textcoords="offset points", va="center")
    ax.set_ylim(len(differences) - 0.4, -1.2)
    ax.grid(False, axis="y")
    ax.set_xlabel(f"difference to the rule, one mark a step (log scale; {LEAST:.0e} stands for 0)")


def draw_coasting(lengths, formula, ax):
    """Steps on a slope around a drop of eta after step 0; gives what it shows."""
    after = len(formula)
    shown = {"step": np.arange(-9, after + 1)}
    for name, r in {"Keras": "keras_sgd", "PyTorch": "torch_sgd"}.items():
        shown[name] = lengths[name][-after - 10 :]
        ax.semilogy(shown["step"], shown[name], **rule_style(r) | {"markevery": 5}, label=name)
    ax.semilogy(shown["step"][10:], formula, **THEORY)
    ax.set(xlabel="steps after the drop", ylabel="step length (log scale)")
    ax.legend()
    return shown
