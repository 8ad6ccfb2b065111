"""Which hyper-parameters, and what they promise: tunings with their theorems, and numeric ones for any rule.

A closed-form tuning is stated once, for the method its theorem is about; a rule that takes the same
steps under other letters gets it through the exact map between them. What no theorem covers, a
student's rule for instance, `minimax` tunes numerically. All rates are factors per step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from momentum_lib.definition import RULES, Rule
from momentum_lib.spectrum import iteration_matrix, spectral_radius, step_size

__all__ = [
    "BestEta",
    "Tuning",
    "best_eta",
    "finite_bound",
    "lower_bound",
    "lower_rate",
    "minimax",
    "tune",
    "worst_rate",
]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tuning:
    """Hyper-parameters from a theorem, and what the theorem promises.

    Attributes
    ----------
    rule : str
        Name of the rule they are for.
    which : str
        Name of the tuning; a rule may have several.
    hyper : dict of str to float
        Ready to be passed: ``run(rule, grad, theta0, steps, **tuning.hyper)``.
    rate : float
        Factor per step of what `bounds` names.
    kind : str
        ``"tight"``: the bound holds at every step and is attained; ``"upper"``: it holds at every step;
        ``"asymptotic"``: the exact rate in the limit of many steps, exceeded on the way
        (`finite_bound` has the exact factor).
    bounds : str
        The quantity, and the class of functions.
    theorem : str
        Source with theorem number, or with none where the result is older than its numbering.
    """

    rule: str
    which: str
    hyper: Mapping[str, float]
    rate: float
    kind: str
    bounds: str
    theorem: str


class BestEta(NamedTuple):
    """Every learning rate from `low` to `high` has the least worst radius, `rate`; mostly low = high."""

    low: Any
    high: Any
    rate: Any


# --- closed forms ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Theorem:
    which: str
    settings: Callable[..., tuple[dict[str, float], float]]  # (mu, L, free) -> hyper, rate
    kind: str
    bounds: str
    source: str
    free: str | None = None  # a hyper-parameter the theorem leaves open


def _optimal_gd(mu: float, L: float) -> tuple[dict[str, float], float]:
    return {"eta": 2 / (mu + L)}, (L - mu) / (L + mu)


def _standard_gd(mu: float, L: float) -> tuple[dict[str, float], float]:
    return {"eta": 1 / L}, 1 - mu / L


def _polyak(mu: float, L: float) -> tuple[dict[str, float], float]:
    rate = float(lower_rate(L / mu))
    return {"eta": (2 / (math.sqrt(L) + math.sqrt(mu))) ** 2, "gamma": rate**2}, rate


def _ghadimi(mu: float, L: float, eta: float | None) -> tuple[dict[str, float], float]:
    eta = 1 / (2 * L) if eta is None else eta
    if not 0 < eta <= 1 / L:
        raise ValueError(f"eta={eta}; the theorem needs 0 < eta <= 1/L = {1 / L:.6g}.")
    return {"eta": eta, "gamma": math.sqrt((1 - eta * mu) * (1 - eta * L))}, 1 - eta * mu


def _optimal_nesterov(mu: float, L: float) -> tuple[dict[str, float], float]:
    root = math.sqrt(3 * L / mu + 1)
    return {"eta": 4 / (3 * L + mu), "gamma": (root - 2) / (root + 2)}, 1 - 2 / root


def _standard_nesterov(mu: float, L: float) -> tuple[dict[str, float], float]:
    return {"eta": 1 / L, "gamma": float(lower_rate(L / mu))}, 1 - math.sqrt(mu / L)


def _triple_momentum(mu: float, L: float) -> tuple[dict[str, float], float]:
    rho = 1 - math.sqrt(mu / L)
    hyper = {
        "alpha": (1 + rho) / L,
        "beta": rho**2 / (2 - rho),
        "gamma": rho**2 / ((1 + rho) * (2 - rho)),
        "delta": rho**2 / (1 - rho**2),
    }
    return hyper, rho


def _robust_momentum(mu: float, L: float, rho: float | None) -> tuple[dict[str, float], float]:
    kappa = L / mu
    fastest, slowest = 1 - 1 / math.sqrt(kappa), 1 - 1 / kappa
    rho = fastest if rho is None else rho
    if not fastest <= rho <= slowest:
        raise ValueError(
            f"rho={rho}; it runs from 1 - 1/sqrt(kappa) = {fastest:.6g} to 1 - 1/kappa = {slowest:.6g}."
        )
    cubed = rho**3 / (kappa - 1) if kappa > 1 else 0.0
    alpha = kappa * (1 - rho) ** 2 * (1 + rho) / L
    return {"alpha": alpha, "beta": kappa * cubed, "gamma": cubed / ((1 - rho) ** 2 * (1 + rho))}, rho


def _chebyshev(mu: float, L: float) -> tuple[dict[str, float], float]:
    return {"mu": mu, "L": L}, float(lower_rate(L / mu))


_DISTANCE = "||theta_t - minimizer||"
_QUADRATICS = f"{_DISTANCE} on quadratics with eigenvalues in [mu, L]"
_CONVEX = "mu-strongly convex, L-smooth functions"
_LESSARD = "Lessard, Recht, Packard 2016, Prop. 1"

#: By the rule each theorem is about; the default tuning first.
_THEOREMS: Final[dict[str, tuple[_Theorem, ...]]] = {
    "gradient_descent": (
        _Theorem("optimal", _optimal_gd, "tight", f"{_DISTANCE} on {_CONVEX}", "Nesterov 2004, Thm 2.1.15"),
        _Theorem("standard", _standard_gd, "tight", _QUADRATICS, _LESSARD),
    ),
    "heavy_ball": (
        _Theorem("polyak", _polyak, "asymptotic", _QUADRATICS, f"Polyak 1964; {_LESSARD}"),
        _Theorem(
            "ghadimi",
            _ghadimi,
            "upper",
            f"f(theta_t) - f* on {_CONVEX}",
            "Ghadimi, Feyzmahdavian, Johansson 2015, Thm 4",
            free="eta",
        ),
    ),
    "nesterov": (
        _Theorem("optimal", _optimal_nesterov, "asymptotic", _QUADRATICS, _LESSARD),
        _Theorem("standard", _standard_nesterov, "asymptotic", _QUADRATICS, f"Nesterov 2004; {_LESSARD}"),
    ),
    "triple_momentum": (
        _Theorem(
            "fastest",
            _triple_momentum,
            "tight",
            f"{_DISTANCE}, times 1/sqrt(kappa), on {_CONVEX}",
            "Van Scoy, Freeman, Lynch 2018, Thm 1",
        ),
    ),
    "robust_momentum": (
        _Theorem(
            "robust",
            _robust_momentum,
            "upper",
            f"root of the paper's Lyapunov function on {_CONVEX}",
            "Cyrus, Hu, Van Scoy, Lessard 2018, Thm 1",
            free="rho",
        ),
    ),
    "chebyshev": (_Theorem("chebyshev", _chebyshev, "asymptotic", _QUADRATICS, "Golub, Varga 1961"),),
}

#: Rules that take the steps of another under letters of their own, and which of its tunings carry over.
_CARRIED: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "polyak_two_step": {"heavy_ball": ("polyak", "ghadimi")},
    "torch_sgd": {"heavy_ball": ("polyak", "ghadimi")},
    "keras_sgd": {"heavy_ball": ("polyak", "ghadimi")},
    "ema": {"heavy_ball": ("polyak", "ghadimi")},
    "primal_average": {"heavy_ball": ("polyak", "ghadimi")},
    # The correction fades, so only what is said of the limit carries over.
    "bias_corrected": {"heavy_ball": ("polyak",)},
    # These two, and qhm as Nesterov, report the look-ahead: another iterate, the same rates.
    "torch_nesterov": {"nesterov": ("optimal", "standard")},
    "keras_nesterov": {"nesterov": ("optimal", "standard")},
    "mass": {"nesterov": ("optimal", "standard")},
    "qhm": {"heavy_ball": ("polyak", "ghadimi"), "nesterov": ("optimal", "standard")},
}


def tune(rule: Rule | str, mu: float, L: float, which: str | None = None, **free: float) -> Tuning:
    """Hyper-parameters in closed form for curvatures in [mu, L], with the theorem behind them.

    Parameters
    ----------
    rule : Rule or str
        A shipped rule or its name.
    mu, L : float
        Least and largest curvature, 0 < mu <= L.
    which : str, optional
        Which tuning, where there are several; by default the one that is fastest on quadratics.
        ``"optimal"`` and ``"standard"`` (eta = 1/L) for gradient descent and Nesterov; ``"polyak"`` and
        ``"ghadimi"`` for heavy ball; all four for qhm.
    **free
        What a theorem leaves open: `eta` up to 1/L for ``"ghadimi"`` (1/(2L) unless given), and `rho`
        from 1 - 1/sqrt(kappa) (the default) to 1 - 1/kappa for robust_momentum.

    Returns
    -------
    Tuning

    Raises
    ------
    ValueError
        No closed form for the rule, no tuning of that name, mu and L out of order, or a free parameter
        outside its range.
    TypeError
        A parameter that the theorem does not leave open.

    Examples
    --------
    >>> tuning = tune("heavy_ball", 0.01, 1)
    >>> round(tuning.hyper["eta"], 6), round(tuning.hyper["gamma"], 6), round(tuning.rate, 6)
    (3.305785, 0.669421, 0.818182)
    >>> tuning.kind, tuning.theorem
    ('asymptotic', 'Polyak 1964; Lessard, Recht, Packard 2016, Prop. 1')
    """
    mu, L = _spectrum(mu, L)
    name = _name(rule)
    source, theorem = _find(name, which)
    for given in free:
        if given != theorem.free:
            left = f"only {theorem.free} is left open" if theorem.free else "nothing is left open"
            raise TypeError(f"tune got {given}, but in the {theorem.which} tuning of {name} {left}.")
    if theorem.free:
        hyper, rate = theorem.settings(mu, L, free.get(theorem.free))
    else:
        hyper, rate = theorem.settings(mu, L)
    hyper = _carry(hyper, source, name)
    return Tuning(name, theorem.which, hyper, rate, theorem.kind, theorem.bounds, theorem.source)


def best_eta(gamma: Any, mu: float, L: float) -> BestEta:
    """The learning rates with the least worst spectral radius of heavy ball on [mu, L] at a fixed gamma.

    Tight, as an asymptotic rate on quadratics. Where gamma is large enough for every root on [mu, L] to
    be complex, the rate is sqrt(gamma) on a whole interval of learning rates; otherwise there is one
    best point, 2(1 + gamma)/(mu + L), and the larger real root at mu is the rate.

    Parameters
    ----------
    gamma : float or array
        In [0, 1).
    mu, L : float
        0 < mu <= L.

    Returns
    -------
    BestEta
        `low`, `high` and `rate`, each of gamma's shape.

    Raises
    ------
    ValueError
        gamma outside [0, 1), or mu and L out of order.

    Examples
    --------
    >>> low, high, rate = best_eta([0.0, 0.9], 0.01, 1)
    >>> low.round(4).tolist(), high.round(4).tolist(), rate.round(4).tolist()
    ([1.9802, 0.2633], [1.9802, 3.7974], [0.9802, 0.9487])
    """
    mu, L = _spectrum(mu, L)
    gamma = np.asarray(gamma, float)
    if not ((gamma >= 0) & (gamma < 1)).all():
        raise ValueError(f"gamma={gamma}; the best learning rate is known for momentum in [0, 1).")
    root = np.sqrt(gamma)
    low, high, point = (1 - root) ** 2 / mu, (1 + root) ** 2 / L, 2 * (1 + gamma) / (mu + L)
    wide = low <= high
    trace = 1 + gamma - point * mu
    real = (trace + np.sqrt(np.maximum(trace * trace - 4 * gamma, 0.0))) / 2
    return BestEta(
        np.where(wide, low, point)[()], np.where(wide, high, point)[()], np.where(wide, root, real)[()]
    )


# --- bounds ------------------------------------------------------------------------------------------


def lower_rate(kappa: Any) -> Any:
    """(sqrt(kappa) - 1)/(sqrt(kappa) + 1): no first-order method has a better rate on quadratics.

    Lower bound; attained by Chebyshev's iteration and, in the limit, by heavy ball, so tight.

    Parameters
    ----------
    kappa : float or array
        Condition number L/mu, at least 1.

    Raises
    ------
    ValueError
        kappa below 1 or not finite.

    Examples
    --------
    >>> float(lower_rate(9))
    0.5
    """
    kappa = np.asarray(kappa, float)
    if not ((kappa >= 1) & np.isfinite(kappa)).all():
        raise ValueError(f"kappa={kappa}; a condition number L/mu is finite and at least 1.")
    # (sqrt(kappa) - 1)/(sqrt(kappa) + 1) without the cancellation near kappa = 1.
    return ((kappa - 1) / (np.sqrt(kappa) + 1) ** 2)[()]


def lower_bound(kappa: Any, t: Any) -> Any:
    """1/T_t((kappa + 1)/(kappa - 1)): what no first-order method can beat in t steps on every quadratic.

    T_t is the Chebyshev polynomial, and the bound is on ||theta_t - minimizer|| over ||theta_0 -
    minimizer||, for a method that steps within the span of the gradients it has read. Lower bound;
    tight, since Chebyshev's iteration attains it at every t (Golub, Varga 1961). It needs at least
    t + 1 dimensions.

    Parameters
    ----------
    kappa, t : float or array
        Condition number, at least 1; number of steps, at least 0. They broadcast.

    Raises
    ------
    ValueError
        kappa below 1 or not finite, t negative.

    Examples
    --------
    >>> lower_bound(100, [0, 1, 10]).round(6).tolist()
    [1.0, 0.980198, 0.264089]
    """
    power = lower_rate(kappa) ** _steps(t)
    return 2 * power / (1 + power * power)


def finite_bound(
    rule: Rule | str, mu: float, L: float, t: Any, which: str | None = None, start: str = "rest"
) -> Any:
    """The exact worst of ||theta_t - minimizer|| / ||theta_0 - minimizer|| at a tuning of `tune`.

    Tight: the supremum over all quadratics with eigenvalues in [mu, L], at every t, with r the rate.
    The powers r^t that textbooks print leave out the factor beside them:

    - gradient descent: r^t.
    - heavy ball, "polyak": r^t (1 + t (1 + r)), at lam = L. With ``start="polyak"``, the first step taken
      with eta/(1 + gamma) = 2/(mu + L), it is r^t (1 + t (1 - r^2)/(1 + r^2)), which never exceeds 1.
    - Nesterov, "optimal" and "standard": r^t (1 + t (1 - r)), at lam = mu.
    - triple momentum: sqrt(kappa) r^t from t = 1 on, at lam = L; also tight beyond quadratics.
    - Chebyshev: `lower_bound`.

    Parameters
    ----------
    rule : Rule or str
        One of these, or a rule with the same reported iterates.
    mu, L : float
        0 < mu <= L.
    t : int or array
        Steps, at least 0.
    which : str, optional
        As in `tune`.
    start : str
        ``"rest"``, or for heavy ball and Polyak's two-step form ``"polyak"``.

    Raises
    ------
    ValueError
        No exact bound is known here for this rule, tuning and start; a negative t.

    Examples
    --------
    >>> finite_bound("heavy_ball", 0.01, 1, [0, 4, 50]).round(4).tolist()
    [1.0, 3.7072, 0.004]
    >>> float(finite_bound("heavy_ball", 0.01, 1, 4, start="polyak").round(4))
    0.8031
    """
    tuning, t = tune(rule, mu, L, which), _steps(t)
    r, kappa = tuning.rate, L / mu
    key = (tuning.which, start)
    slope: dict[tuple[str, str], float]
    if tuning.rule == "gradient_descent":
        slope = {("optimal", "rest"): 0.0, ("standard", "rest"): 0.0}
    elif tuning.rule in ("heavy_ball", "polyak_two_step", "keras_sgd", "torch_sgd", "ema", "primal_average"):
        slope = {("polyak", "rest"): 1 + r}
        # Where eta is inside the velocity a schedule can make the first step, and no other, smaller.
        if tuning.rule in ("heavy_ball", "polyak_two_step", "keras_sgd"):
            slope["polyak", "polyak"] = (1 - r * r) / (1 + r * r)
    elif tuning.rule in ("nesterov", "mass"):
        slope = {("optimal", "rest"): 1 - r, ("standard", "rest"): 1 - r}
    elif tuning.rule == "triple_momentum" and start == "rest":
        return np.where(t > 0, math.sqrt(kappa) * r**t, 1.0)[()]
    elif tuning.rule == "chebyshev" and start == "rest":
        return lower_bound(kappa, t)
    else:
        slope = {}
    if key not in slope:
        raise ValueError(
            f"no exact bound is known here for {tuning.rule}, which={tuning.which!r}, start={start!r}; take "
            "the largest |closed_form(...)| over a grid of eigenvalues in [mu, L]."
        )
    return r**t * (1 + t * slope[key])


# --- numeric -----------------------------------------------------------------------------------------


def worst_rate(rule: Rule, mu: float, L: float, **hyper: Any) -> Any:
    """The largest spectral radius over the curvatures in [mu, L].

    Exact for a rule with up to two slots that reads one gradient a step: its trace and determinant are
    affine in the curvature, so the radius is quasi-convex and largest at mu or L. For other rules the
    largest of 65 curvatures, refined around it until neighbors agree to about 1e-9 L.

    Parameters
    ----------
    rule : Rule
        Any linear rule.
    mu, L : float
        0 < mu <= L; passed on to a rule that has them as hyper-parameters.
    **hyper
        Numbers or arrays that broadcast.

    Returns
    -------
    (...) array or float.

    Raises
    ------
    ValueError
        mu and L out of order.
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> float(worst_rate(heavy_ball, 0.1, 1, eta=1.0, gamma=0.81).round(6))
    0.9
    """
    mu, L = _spectrum(mu, L)
    hyper = _given_spectrum(rule, mu, L) | hyper
    hyper = {name: np.asarray(value, float)[..., None] for name, value in hyper.items()}
    lam = np.unique(np.concatenate([np.geomspace(mu, L, 33), np.linspace(mu, L, 33)]))
    lam[0], lam[-1] = mu, L
    worst: Any = -np.inf
    for _ in range(8):
        rho = np.asarray(spectral_radius(rule, lam, **hyper))
        worst = np.maximum(worst, rho.max(axis=-1))
        top = rho.argmax(axis=-1)[..., None]
        lam = np.broadcast_to(lam, rho.shape)
        left = np.take_along_axis(lam, np.maximum(top - 1, 0), axis=-1)
        right = np.take_along_axis(lam, np.minimum(top + 1, rho.shape[-1] - 1), axis=-1)
        lam = left + (right - left) * np.linspace(0, 1, 17)
    return worst[()]


def minimax(rule: Rule, mu: float, L: float, **fixed: float) -> tuple[dict[str, float], float]:
    """The hyper-parameters with the least worst spectral radius on [mu, L], found numerically.

    The radius is not smooth: at the optimum roots collide, and on one side of it the radius rises like a
    square root. Differential evolution (fixed seed) finds the basin; then r is made as small as the
    smooth conditions allow that all roots lie within radius r (Hurwitz determinants after the map of
    the disc to the half-plane); a simplex takes the last digits. From kappa = 2 on the rates of heavy
    ball and Nesterov come back to about 1e-12, with three hyper-parameters to about 1e-8, in about a
    second each.

    Limits: the optimum of a rule with many hyper-parameters may be a local one, a seed is no proof. The
    step size is searched from 1e-2/L to 1e5/L first, further ones to 10/L with either sign, `kappa` and
    `xi` from 1 to 1e6; every other hyper-parameter stays below 1, as momentum does. An optimum may be
    shared: the values returned are one of many then, and one that makes no difference is returned as 0.
    It may also lie at infinity: accsgd comes to heavy ball as delta goes to 0 and kappa to infinity.

    Parameters
    ----------
    rule : Rule
        Any linear rule, a student's too.
    mu, L : float
        0 < mu <= L; passed on to a rule that has them as hyper-parameters.
    **fixed
        Hyper-parameters to hold, ``gamma=0.9`` for instance.

    Returns
    -------
    hyper : dict of str to float
        Those without default that were not fixed, `t` excepted.
    rate : float
        The worst spectral radius at them, as `worst_rate` gives it; 1 or more if no setting was found
        stable.

    Raises
    ------
    ValueError
        mu and L out of order.
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import nesterov
    >>> hyper, rate = minimax(nesterov, 0.1, 1)
    >>> round(hyper["eta"], 5), round(hyper["gamma"], 5), round(rate, 6)
    (1.29032, 0.47144, 0.640789)
    """
    from scipy.optimize import differential_evolution, minimize

    mu, L = _spectrum(mu, L)
    held: dict[str, Any] = {**_given_spectrum(rule, mu, L), **fixed}
    names = [n for n in rule.hyper if n not in rule.defaults and n not in held and n != "t"]
    if not names:
        return {}, float(worst_rate(rule, mu, L, **fixed))
    scales = _scales(rule, names, L)
    lam = np.unique(np.concatenate([np.geomspace(mu, L, 9), np.linspace(mu, L, 9)]))
    lam[0], lam[-1] = mu, L

    def hyper(x: Any) -> dict[str, Any]:
        with np.errstate(all="ignore"):
            values = [np.clip(scale.decode(v), -1e200, 1e200) for scale, v in zip(scales, x, strict=True)]
        return dict(zip(names, values, strict=True))

    def radius(x: Any) -> Any:
        """Over the (names, cells) array that differential evolution hands over, or one setting."""
        cells = {name: value[..., None] for name, value in hyper(np.asarray(x)).items()}
        rho = np.asarray(spectral_radius(rule, lam, **held, **cells)).max(axis=-1)
        return np.where(np.isfinite(rho), np.minimum(rho, 1e9), 1e9)

    def inside(y: Any) -> Array:
        """Not negative where every root lies within the radius that y ends with."""
        return _margins(iteration_matrix(rule, lam, **held, **hyper(y[:-1])) / y[-1])

    coarse = differential_evolution(
        radius,
        [scale.range for scale in scales],
        x0=np.zeros(len(names)),  # a step of 1/L and no momentum belongs to the first population
        rng=0,
        popsize=20,
        maxiter=20 + 15 * len(names),
        tol=0,
        atol=1e-6,
        polish=False,
        vectorized=True,
        updating="deferred",
    )
    best, rate = coarse.x, float(coarse.fun)
    aim = np.append(np.zeros(len(names)), 1.0)
    for _ in range(3):  # a restart forgets curvature met on the way, and gets on where the last one stopped
        with np.errstate(all="ignore"):
            smooth = minimize(
                lambda y: y[-1],
                np.append(best, rate),
                jac=lambda y: aim,
                method="SLSQP",
                constraints={"type": "ineq", "fun": inside},
                options={"maxiter": 200, "ftol": 1e-15},
            )
        reached = float(radius(smooth.x[:-1])) if np.isfinite(smooth.x).all() else math.inf
        if not reached < rate:
            break
        best, rate = smooth.x[:-1], reached
    corners = np.vstack([best, best + 1e-5 * np.eye(len(names))])
    last = minimize(
        lambda x: float(radius(x)),
        best,
        method="Nelder-Mead",
        options={"initial_simplex": corners, "xatol": 1e-12, "fatol": 1e-15, "maxfev": 150 * len(names)},
    )
    found = {name: float(value) + 0.0 for name, value in hyper(last.x).items()}
    return _settle(rule, mu, L, fixed, found)


class _Scale(NamedTuple):
    """How one hyper-parameter is searched: an interval of x, and its value at x."""

    range: tuple[float, float]
    decode: Callable[[Any], Any]


def _scales(rule: Rule, names: list[str], L: float) -> list[_Scale]:
    gradients = _step_like(rule)
    scales = []
    for name in names:
        if name in gradients and name == step_size(rule):
            scales.append(_Scale((-4.6, 11.5), lambda x: np.exp(x) / L))
        elif name in gradients:  # a second step size may have either sign
            scales.append(_Scale((-3.0, 3.0), lambda x: np.sinh(x) / L))
        elif name in ("kappa", "xi"):
            scales.append(_Scale((0.0, 13.8), np.exp))
        else:  # resolves momentum close to 1
            scales.append(_Scale((-0.6, 10.0), lambda x: -np.expm1(-x)))
    return scales


def _step_like(rule: Rule) -> tuple[str, ...]:
    """The hyper-parameters that are lengths over gradients: halved, they make up for twice the curvature.

    Computed, not declared: at a generic setting the characteristic polynomial stays as it is.
    """
    names = [n for n in rule.hyper if n not in rule.defaults and n != "t"]
    setting: dict[str, Any] = {name: 1 / (3 + 2 * i) for i, name in enumerate(names)}
    once = np.poly(iteration_matrix(rule, 0.3, **setting))
    for size in range(1, len(names) + 1):
        for some in itertools.combinations(names, size):
            halved: dict[str, Any] = {
                name: value / 2 if name in some else value for name, value in setting.items()
            }
            if np.allclose(np.poly(iteration_matrix(rule, 0.6, **halved)), once, rtol=1e-9, atol=1e-12):
                return some
    return ()


def _settle(
    rule: Rule, mu: float, L: float, fixed: dict[str, float], found: dict[str, float]
) -> tuple[dict[str, float], float]:
    """The rate over all of [mu, L], and a zero for each value that makes no difference to it."""
    rate = float(worst_rate(rule, mu, L, **fixed, **found))
    for name in found:
        if name != step_size(rule):
            without = {**found, name: 0.0}
            lower = float(worst_rate(rule, mu, L, **fixed, **without))
            if lower <= rate + 1e-12:
                found, rate = without, lower
    return found, rate


def _margins(matrix: Array) -> Array:
    """Smooth numbers that are all >= 0 where no eigenvalue of a matrix lies outside the unit disc.

    z = (1 + w)/(1 - w) takes the disc to the left half-plane, where the coefficients of the
    characteristic polynomial and its Hurwitz determinants are the conditions.
    """
    n = matrix.shape[-1]
    unit, half_plane = _disc_to_half_plane(n)
    values = np.linalg.det(unit[:, None, None] * np.eye(n) - matrix[..., None, :, :])
    coefficients = np.fft.fft(values, axis=-1).real / (n + 1) @ half_plane  # of w^n ... w^0
    hurwitz = np.zeros((*matrix.shape[:-2], n, n))
    for i in range(n):
        for j in range(n):
            if 0 <= (k := 2 * j + 1 - i) <= n:
                hurwitz[..., i, j] = coefficients[..., k]
    minors = [np.linalg.det(hurwitz[..., :m, :m])[..., None] for m in range(2, n)]
    return np.concatenate([coefficients, *minors], axis=-1).ravel()


@cache
def _disc_to_half_plane(n: int) -> tuple[Array, Array]:
    """The n + 1 roots of unity, and the rows (1 + w)^k (1 - w)^(n - k), highest power first."""
    unit = np.exp(2j * np.pi * np.arange(n + 1) / (n + 1))
    plus, minus = np.poly1d([1, 1]), np.poly1d([-1, 1])
    return unit, np.array([(plus**k * minus ** (n - k)).coeffs for k in range(n + 1)])


# --- Checks ------------------------------------------------------------------------------------------


def _spectrum(mu: Any, L: Any) -> tuple[float, float]:
    try:
        mu, L = float(mu), float(L)
    except (TypeError, ValueError):
        raise ValueError(f"mu={mu!r} and L={L!r}; give two numbers with 0 < mu <= L.") from None
    if mu == 0 and 0 < L < math.inf:
        raise ValueError(
            "mu=0 leaves no linear rate; without strong convexity take gradient_descent at eta = 1/L, or "
            "nesterov at eta = 1/L with gamma=nesterov_sequence()."
        )
    if not 0 < mu <= L < math.inf:
        raise ValueError(f"mu={mu:g} and L={L:g}; curvatures need 0 < mu <= L, both finite.")
    return mu, L


def _steps(t: Any) -> Array:
    steps: Array = np.asarray(t, float)
    if not (steps >= 0).all():
        raise ValueError(f"t={t}; a number of steps is at least 0.")
    return steps


def _given_spectrum(rule: Rule, mu: float, L: float) -> dict[str, float]:
    """What a rule (Chebyshev's) that asks for the spectrum itself is given."""
    return {name: value for name, value in (("mu", mu), ("L", L)) if name in rule.hyper}


def _name(rule: Rule | str) -> str:
    """The name a tuning is looked up by; a rule of one's own that borrows a shipped name has none."""
    if isinstance(rule, str):
        return rule
    if RULES.get(rule.name) is not rule:
        raise ValueError(
            f"{rule.name} is a rule of your own, so no theorem covers it; minimax(rule, mu, L) tunes it."
        )
    return rule.name


def _find(name: str, which: str | None) -> tuple[str, _Theorem]:
    """A tuning of the rule, and the rule its theorem is about."""
    found = [(name, theorem) for theorem in _THEOREMS.get(name, ())]
    for source, names in _CARRIED.get(name, {}).items():
        found += [(source, theorem) for theorem in _THEOREMS[source] if theorem.which in names]
    if not found:
        raise ValueError(
            f"{name} has no closed-form tuning here; minimax({name}, mu, L) finds one numerically."
        )
    for source, theorem in found:
        if which in (None, theorem.which):
            return source, theorem
    raise ValueError(f"{name} has no {which!r} tuning; it has {', '.join(repr(t.which) for _, t in found)}.")


def _carry(hyper: dict[str, float], source: str, name: str) -> dict[str, float]:
    """Settings of one rule in the letters of another that takes its steps."""
    if name in (source, "bias_corrected"):  # in the limit, where bias_corrected has the letters of its source
        return hyper
    from momentum_lib.conversions import convert  # not at the top: it loads SymPy

    carried = convert(source, name, **hyper)
    return {key: value for key, value in carried.items() if key not in RULES[name].defaults}
