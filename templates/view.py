"""A view of any rule. It takes one rule or several, draws into axes or makes them, and keeps its numbers.

It can move to ``momentum_lib/plots/`` as it stands.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from momentum_lib import Picture, heavy_ball, impulse_response, nesterov
from momentum_lib.plots.canvas import axes_for, looks_of, rules_of


def plot_my_view(rules: Any, steps: int = 30, *, ax: Axes | None = None) -> Picture:
    """Draw how far one gradient of 1 has moved theta after each step.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
        Linear, every letter set.
    steps : int
    ax : Axes, optional

    Returns
    -------
    Picture

    Raises
    ------
    NotLinear, RuleError
        As `impulse_response`.
    """
    several = rules_of(rules)
    looks = looks_of(several)
    fig, ax = axes_for(ax)
    data: dict[str, Any] = {"t": np.arange(steps + 1)}
    for label, rule in several.items():
        data[label] = -impulse_response(rule, steps)
        ax.plot(data["t"], data[label], **looks[label], label=label)
    ax.legend()
    ax.set(xlabel="steps", ylabel="distance moved")
    return Picture(fig, ax, data, "One gradient moves theta for as long as the memory lasts.")


if __name__ == "__main__":
    picture = plot_my_view([heavy_ball.at(eta=1.0, gamma=0.8), nesterov.at(eta=1.0, gamma=0.8)])
    picture.fig.savefig("my_view.png")
    print("my_view.png")
