"""Curves of any rule: eigenvalues in the disc, worst case, noise floor, frequency response, trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from momentum_lib.clock import brief, real, reals
from momentum_lib.definition import RuleError
from momentum_lib.noise import frequency_response, stationary_covariance
from momentum_lib.plots import THEORY, label_end, rule_style
from momentum_lib.plots.canvas import Picture, axes_for, canvas_for
from momentum_lib.problems import Quadratic
from momentum_lib.spectrum import closed_form, iteration_matrix, spectral_radius
from momentum_lib.tuning import curvatures, lower_rate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plot_eigenvalues", "plot_noise_floor", "plot_response", "plot_training", "plot_worst_case"]

Array = np.ndarray[Any, Any]


def plot_eigenvalues(rules: Any, lam: Any = None, *, ax: Axes | None = None) -> Picture:
    """Draw the eigenvalues of the iteration matrix in the unit disc, one marker a curvature.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
        Linear; a single step size that is open counts as 1, so that `lam` is eta·lam.
    lam : array, optional
        Curvatures; 40 from 0.01 to 4 by default.
    ax : Axes, optional

    Returns
    -------
    Picture
        Its data: ``lam``, and real and imaginary parts of every root.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> view = plot_eigenvalues(heavy_ball.at(gamma=0.81), [0.5])
    >>> float(np.hypot(view.data["heavy_ball, real"], view.data["heavy_ball, imaginary"])[0, 0].round(6))
    0.9
    """
    lam = np.geomspace(0.01, 4, 40) if lam is None else np.atleast_1d(reals("lam", lam))
    if not lam.size:
        raise ValueError("lam is empty; give at least one curvature.")
    several, looks, fig, ax = canvas_for(rules, ax, (4.4, 4.4))
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 241))
    ax.plot(circle.real, circle.imag, color="0.5", linewidth=1)
    data: dict[str, Any] = {"lam": lam}
    for label, rule in several.items():
        roots = np.linalg.eigvals(iteration_matrix(rule.in_unit_steps(), lam))
        style = looks[label] | {"linestyle": "", "markevery": 1, "markersize": 4}
        ax.plot(roots.real.ravel(), roots.imag.ravel(), **style, label=label)
        data |= {f"{label}, real": roots.real, f"{label}, imaginary": roots.imag}
    reach = 1.15
    far = any(np.abs(values).max() > reach for name, values in data.items() if name != "lam")
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel="real part", ylabel="imaginary part")
    if far:
        ax.annotate("some roots lie outside", (0.02, 0.02), xycoords="axes fraction", fontsize=9)
    ax.legend(loc="upper right")
    caption = f"Eigenvalues for lam from {lam.min():g} to {lam.max():g}; inside the circle a run converges."
    return Picture(fig, ax, data, caption)


def plot_worst_case(
    rules: Any, mu: float, L: float, *, steps: int | None = None, ax: Axes | None = None
) -> Picture:
    """Draw how each curvature between mu and L fares: the factor per step, or what is left after `steps`.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
    mu, L : float
        Least and largest curvature, 0 < mu <= L.
    steps : int, optional
        Draw |theta_steps| from rest at 1 instead of the spectral radius.
    ax : Axes, optional

    Raises
    ------
    NotLinear, RuleError, ValueError
        As `spectral_radius` and `closed_form`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball, tune
    >>> plot_worst_case(tune(heavy_ball, 0.1, 1), 0.1, 1).data["heavy_ball"].round(4).max().item()
    0.5195
    """
    mu, L = curvatures(mu, L)
    several, looks, fig, ax = canvas_for(rules, ax)
    lam = np.geomspace(mu, L, 301)
    data: dict[str, Any] = {"lam": lam}
    for label, rule in several.items():
        if steps is None:
            values = np.asarray(spectral_radius(rule, lam))
        else:
            values = np.abs(closed_form(rule, Quadratic(lam), np.ones(lam.size), steps)[-1])
        data[label] = values
        # What diverges runs along the top, and says so.
        top = 1.04 if steps is None else 1e6
        drawn = np.minimum(np.nan_to_num(values, nan=top), top)
        (line,) = ax.plot(lam, drawn, **looks[label])
        label_end(ax, line, label + (" (diverges)" if not float(np.max(values)) <= 1 else ""))
    ax.set(xscale="log", xlabel="curvature lam (log scale)")
    if steps is None:
        ax.axhline(float(lower_rate(L / mu)), **THEORY)
        low, high = ax.dataLim.intervaly
        room = max(0.08 * (high - low), 0.03)  # of lines that are level an axis would show the rounding
        ax.set(ylabel="factor per step", ylim=(low - room, min(1.05, high + room)))
    else:
        ax.set(yscale="log", ylabel=f"left of the start after {steps} steps")
    caption = f"Every curvature from {mu:g} to {L:g}; dashed, the least worst factor any method can have."
    return Picture(fig, ax, data, caption)


def plot_noise_floor(
    rules: Any,
    lam: float = 1.0,
    sigma: float = 1.0,
    *,
    steps: Any = None,
    ax: Axes | None = None,
) -> Picture:
    """Draw the noise floor against the rate, along the step size of each rule.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
        Linear, with one step size, which is varied; the other letters set.
    lam, sigma : float
        Curvature, and standard deviation of the gradient noise.
    steps : array, optional
        Step sizes in units of 1/lam; 80 from 0.001 to 4 by default. Unstable ones are left out.
    ax : Axes, optional

    Raises
    ------
    NotLinear, RuleError
        As `stationary_covariance`; a rule without a single step size.

    Examples
    --------
    >>> from momentum_lib import gradient_descent
    >>> view = plot_noise_floor(gradient_descent, steps=[0.5])
    >>> float(view.data["gradient_descent, floor"][0].round(4))
    0.5774
    """
    lam, sigma = real("lam", lam, above=0), real("sigma", sigma, above=0)
    several, looks, fig, ax = canvas_for(rules, ax)
    h = np.atleast_1d(np.geomspace(1e-3, 4, 80) if steps is None else reals("steps", steps))
    data: dict[str, Any] = {"step size·lam": h}
    for label, rule in several.items():
        if len(rule.step_letters) != 1:
            found = " and ".join(rule.step_letters) or "none"
            raise RuleError(f"a noise floor is drawn along one step size, and {rule.name} has {found}.")
        rule = rule.at(**{rule.step_letters[0]: h / lam})
        rho = np.asarray(spectral_radius(rule, lam))
        floor = np.sqrt(np.asarray(stationary_covariance(rule, lam, sigma))[..., 0, 0])
        floor = np.where(np.isfinite(floor), floor, np.nan)
        if np.isnan(floor).all():
            raise ValueError(f"{label} is unstable at every step size given; give smaller ones.")
        time = -1 / np.log(np.where((floor >= 0) & (rho > 0), rho, np.nan))
        (line,) = ax.loglog(time, floor, **looks[label])
        label_end(ax, line, label)
        data |= {f"{label}, steps per factor e": time, f"{label}, floor": floor}
    ax.set(xlabel="steps per factor e (log scale)", ylabel="noise floor, s.d. of theta (log scale)")
    caption = f"How far the noise keeps theta (sigma = {sigma:g}) against how fast the start is forgotten."
    return Picture(fig, ax, data, caption)


def plot_response(
    rules: Any, output: str | None = None, *, lam: float = 0.0, ax: Axes | None = None
) -> Picture:
    """Draw the frequency response: what each rule makes of gradients that oscillate, slow to fast.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
        Linear, every letter set.
    output : str, optional
        The slot looked at; the last one, the velocity, by default.
    lam : float
        Curvature; 0 looks at the rule in the open.
    ax : Axes, optional

    Raises
    ------
    NotLinear, RuleError
        As `frequency_response`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> view = plot_response(heavy_ball.at(eta=1.0, gamma=0.5))
    >>> float(view.data["heavy_ball"][-1].round(4))
    0.6667
    """
    several, looks, fig, ax = canvas_for(rules, ax)
    omega = np.geomspace(1e-3, np.pi, 301)
    data: dict[str, Any] = {"omega": omega}
    for label, rule in several.items():
        gain = np.abs(frequency_response(rule, omega, rule.slots[-1] if output is None else output, lam=lam))
        data[label] = gain
        ax.loglog(omega, gain, **looks[label], label=label)
    ax.legend(loc="best")  # at the end of the lines, where gains meet, names would too
    ax.set(xlabel="frequency, radians a step (log scale)", ylabel="gain (log scale)")
    caption = "What slow and fast changes of the gradient become; pi is a sign that flips every step."
    return Picture(fig, ax, data, caption)


def plot_training(
    trainings: Mapping[str, Any] | pd.DataFrame, *, of: str = "error", ax: Axes | None = None
) -> Picture:
    """Draw training curves: the median over the seeds, and from the least to the largest as a band.

    What has diverged counts as infinite in the median, or the seeds left would flatter their rule.

    Parameters
    ----------
    trainings : mapping of label to trainings, or DataFrame
        What `train` returns, of one seed or of several, or a list of it; or a frame with columns
        ``label``, ``t``, ``seed`` and `of`.
    of : {"error", "loss"}
        What is drawn.
    ax : Axes, optional

    Raises
    ------
    ValueError
        Seeds of one label that were recorded at different steps; several settings under one label.
    """
    if not isinstance(of, str):
        raise ValueError(f'of is {brief(of)}; give "error" or "loss".')
    if not isinstance(trainings, Mapping) and hasattr(trainings, "groupby"):
        if lost := {"label", "t", "seed", of} - set(trainings):
            raise ValueError(
                f"the frame has no column {', '.join(sorted(lost))}; give label, t, seed and {of}."
            )
        if trainings.duplicated(["label", "t", "seed"]).any():
            raise ValueError("the frame holds a label, t and seed twice; keep one row of each.")
        trainings = {
            str(label): part.pivot(index="t", columns="seed", values=of)
            for label, part in trainings.groupby("label", sort=False)
        }
    if not isinstance(trainings, Mapping) or not trainings:
        raise ValueError(f"there is no training to draw in {brief(trainings)}; give {{label: train(...)}}.")
    fig, ax = axes_for(ax)
    data: dict[str, Any] = {}
    for label, made in trainings.items():
        if hasattr(made, "to_numpy"):
            t, values = made.index.to_numpy(), made.to_numpy().T
        else:
            several = list(made) if isinstance(made, list | tuple) else [made]
            if not several or not all(hasattr(one, of) for one in several):
                raise ValueError(f"{label} is {brief(made)} without {of}; give what train returns.")
            if any(not np.array_equal(one.t, several[0].t) for one in several):
                raise ValueError(
                    f"the trainings of {label} were recorded at different steps; use one every=."
                )
            if any(np.ndim(value) for one in several for value in one.rule.setting.values()):
                raise ValueError(f"{label} holds several settings; give each a label of its own.")
            t = several[0].t
            values = np.concatenate([getattr(one, of).reshape(len(t), -1).T for one in several])
        values = reals(f"the {of} of {label}", values, finite=False)
        values = np.where(np.isfinite(values), values, np.nan)
        middle = np.median(np.nan_to_num(values, nan=np.inf), axis=0)
        left = np.isfinite(middle)
        look = rule_style(getattr(made[0] if isinstance(made, list | tuple) else made, "rule", label))
        (line,) = ax.semilogy(t[left], middle[left], **look)
        band = np.nanmin(values[:, left], axis=0), np.nanmax(values[:, left], axis=0)
        ax.fill_between(t[left], *band, color=look["color"], alpha=0.2)
        label_end(ax, line, label)
        data |= {f"{label}, t": t, label: values.T}
    ax.set(xlabel="updates", ylabel=f"{of} (log scale)")
    return Picture(fig, ax, data, f"The {of} of {', '.join(trainings)}: median over seeds, least to largest.")
