"""How the figures of notebook 02 look; the mathematics stands in its cells."""

import numpy as np

from momentum_lib import THEORY, label_end, rule_style

BLUE = rule_style("heavy_ball")["color"]
LINES = (":", "-.", "-", "--")


def draw_distances(paths, racers, ax):
    """Distance traveled against steps, each path in the look of its rule and named at its end."""
    for name, path in paths.items():
        (line,) = ax.plot(path, **rule_style(racers[name]))
        label_end(ax, line, name)
    ax.set(xlabel="steps", ylabel="distance traveled, slope 1")


def draw_following(tau, ball, followed, ax):
    """The rolling ball dashed, the iterates of a coarse (full) and a fine (open) time step as dots."""
    ax.plot(tau, ball, **THEORY)
    faces = {"markerfacecolor": BLUE}, {"markerfacecolor": "white", "markersize": 3.5}
    for (dt, (at, theta)), face in zip(followed.items(), faces, strict=True):
        ax.plot(at, theta, "o", color=BLUE, **face, label=f"time step {dt:g}")
    ax.set(xlabel="time", ylabel="position", xlim=(-0.3, 14))
    ax.legend(loc="upper right")


def draw_gap(eta, gap, ax):
    """The largest gap over the learning rate; dashed, the root of eta through the last point."""
    ax.loglog(eta, gap, **rule_style("heavy_ball") | {"linestyle": "", "markevery": 1})
    ax.loglog(eta, gap[-1] * np.sqrt(eta / eta[-1]), **THEORY)
    ax.set(xlabel="eta (log scale)", ylabel="largest gap to the ball (log scale)")


def draw_overshoot(h, paths, ax):
    """Runs of one direction, a line style a gamma."""
    for n, (gamma, theta) in enumerate(paths.items()):
        ax.plot(theta, color=BLUE, linestyle=LINES[n % 4], label=f"{gamma}")
    ax.legend(title="gamma", loc="upper right", ncols=4)
    ax.set(xlabel="steps", ylabel="theta (start 1)", title=f"eta·lam = {h}", ylim=(-1.05, 1.5))
