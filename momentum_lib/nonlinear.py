"""Rules that are not linear: adaptive restart, clipping, signs, norms, Adam, Muon; and Lookahead.

They run through `run` like any rule, on grids too, and lie outside everything that rests on one matrix a
curvature: no spectral radius, no stability region, no characteristic polynomial (`NotLinear`). They are
kept in `NONLINEAR` and not in `RULES`.

Their functions are those of the array's own library: NumPy, JAX, PyTorch. Restart, clipping and norms look
at a whole point: all of a `Parts`, the last axis of an array, so theta needs that axis, ``theta0=[x]`` for
one coordinate. Muon looks at matrices, the last two axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from momentum_lib.clock import LIMIT, a_rule, no_limit
from momentum_lib.definition import Rule, RuleError
from momentum_lib.letters import as_tuple
from momentum_lib.parts import by_parts, namespace

__all__ = [
    "NONLINEAR",
    "adam",
    "adamw",
    "clipped",
    "fixed_restart",
    "function_restart",
    "gradient_restart",
    "lion",
    "lookahead",
    "muon",
    "nadam",
    "normalized_momentum",
    "signum",
]


def _refuse_a_cut(what: str, axes: int, *letters: Any) -> None:
    """Letters that change within a point, along one of its own axes: a grid laid into the point."""
    for letter in letters:
        if {*np.shape(letter)[-axes:]} - {1}:
            raise RuleError(
                f"this rule looks at whole {what} and theta has no axis for them on this grid; "
                "start from theta0=[x] instead of x."
            )


def _per_point(values: Any, *hyper: Any) -> Any:
    """Sum over the coordinates, the axis kept; over all of a `Parts`, a scalar."""
    _refuse_a_cut("points", 1, *hyper)
    return namespace(values).sum(values, axis=-1, keepdims=True) if np.ndim(values) else values


def _norm(values: Any, *hyper: Any) -> Any:
    square = _per_point(abs(values) ** 2, *hyper)
    return namespace(square).sqrt(square)


# --- Nesterov with restart --------------------------------------------------------------------------


def _nesterov_step(theta: Any, v: Any, weight: Any, grad: Any, eta: Any) -> tuple[Any, Any, Any, Any]:
    """One step of Nesterov's convex sequence, and its gradient; `weight` is t_k², 0 at rest."""
    xp = namespace(weight)
    ahead = (1 + xp.sqrt(1 + 4 * weight)) / 2
    gamma = xp.clip(xp.sqrt(weight) - 1, 0, None) / ahead
    gradient = grad(theta - gamma * v)
    v = gamma * v + eta * gradient
    return theta - v, v, ahead * ahead, gradient


def _restart(now: Any, theta: Any, v: Any, weight: Any, restarts: Any) -> tuple[Any, Any, Any, Any]:
    """Start afresh from theta, at rest, where `now`, and count it."""
    going = now < 1  # `Parts` compare by order, part by part; by == they are one object or not
    return theta, v * going, weight * going, restarts + now


def _gradient_restart(theta: Any, v: Any, weight: Any, restarts: Any, grad: Any, *, eta: Any) -> Any:
    """Nesterov's convex sequence, restarted when the gradient opposes the step just taken.

        y_{t-1} = theta_{t-1} - gamma_k v_{t-1}
        restart where grad(y_{t-1}) · (theta_t - theta_{t-1}) > 0

    Gradient read at: theta - gamma_k*v, the look-ahead y; gamma_k = (t_{k-1} - 1)/t_k
    Reports: theta, not the look-ahead
    Units: theta [theta], v [theta], weight [1] is t_k² since the last restart, restarts [1] their number
    Start: v = 0, weight = 0, restarts = 0
    Not to be confused with: nesterov under gamma=nesterov_sequence(), which never restarts
    Source: O'Donoghue and Candès 2015, section 3.2, gradient scheme
    """
    theta, v, weight, gradient = _nesterov_step(theta, v, weight, grad, eta)
    return _restart(_per_point(gradient * v, eta) < 0, theta, v, weight, restarts)


def _fixed_restart(
    theta: Any, v: Any, weight: Any, restarts: Any, grad: Any, *, eta: Any, period: Any, t: Any
) -> Any:
    """Nesterov's convex sequence, restarted each `period` steps.

        restart where t passes a multiple of period

    Gradient read at: theta - gamma_k*v, the look-ahead; gamma_k = (t_{k-1} - 1)/t_k
    Reports: theta, not the look-ahead
    Units: theta [theta], v [theta], weight [1], restarts [1]; period [steps], best near e sqrt(8 kappa)
    Start: v = 0, weight = 0, restarts = 0
    Not to be confused with: gradient_restart, which needs no kappa
    Source: O'Donoghue and Candès 2015, section 3.1, fixed restarting
    """
    theta, v, weight, _ = _nesterov_step(theta, v, weight, grad, eta)
    return _restart(_passes(t, period), theta, v, weight, restarts)


def _passes(t: Any, period: Any) -> Any:
    """Whether step t is the first behind a multiple of the period, or on it."""
    floor = namespace(t / period).floor
    return floor(t / period) > floor((t - 1) / period)


def function_restart(value: Callable[[Any], Any]) -> Rule:
    """Nesterov's convex sequence, restarted where f rose: a rule for this `value`.

    Slots and letters are those of `gradient_restart`; `value` is called twice a step.

    Parameters
    ----------
    value : callable
        f, ``problem.value``: from (..., d) to (...). At the edge of a framework it is given its parameters as
        a `Parts`.

    Raises
    ------
    RuleError
        `value` is not a function.

    Source: O'Donoghue and Candès 2015, section 3.2, function scheme.

    Examples
    --------
    >>> from momentum_lib import Quadratic, run
    >>> f = Quadratic([0.01, 1.0])
    >>> out = run(function_restart(f.value).at(eta=1.0), f.grad, [1.0, 1.0], 100)
    >>> int(out.slots["restarts"][-1, 0])
    2
    """
    if not callable(value):
        raise RuleError(f"value is {value!r}; give the function to descend, problem.value.")

    def step(theta: Any, v: Any, weight: Any, restarts: Any, grad: Any, *, eta: Any) -> Any:
        """Nesterov's convex sequence, restarted where f rose.

            restart where f(theta_t) > f(theta_{t-1})

        Gradient read at: theta - gamma_k*v, the look-ahead; gamma_k = (t_{k-1} - 1)/t_k
        Reports: theta, not the look-ahead
        Units: theta [theta], v [theta], weight [1] is t_k² since the last restart, restarts [1] their number
        Start: v = 0, weight = 0, restarts = 0
        Not to be confused with: gradient_restart, which needs no values of f
        Source: O'Donoghue and Candès 2015, section 3.2, function scheme
        """
        new, v, weight, _ = _nesterov_step(theta, v, weight, grad, eta)
        rose = value(new) > value(theta)
        per_point = 0 < np.ndim(rose) < np.ndim(new)
        return _restart(rose[..., None] if per_point else rose, new, v, weight, restarts)

    text = f"function_restart({getattr(value, '__qualname__', repr(value))})"
    return Rule(step, name="function_restart", text=text, made_by=(function_restart, (value,)))


# --- Clipping, signs, norms -------------------------------------------------------------------------


def clipped(rule: Rule, of: str = "gradient") -> Rule:
    """`rule` with each gradient, or each step, shortened to length `threshold` wherever it is longer.

    The new rule takes the letters of `rule`, those that are set with it, and `threshold`.

    Parameters
    ----------
    rule : Rule
    of : {"gradient", "step"}
        ``"gradient"``: before the buffer, `threshold` in units of the gradient. ``"step"``: behind it,
        theta_t - theta_{t-1} is shortened, `threshold` in units of theta. The other slots stay as they are:
        heavy_ball remembers the whole step, polyak_two_step, which keeps points, the shortened one.

    Raises
    ------
    RuleError
        What is no rule, another `of`; in the run: a threshold that is not positive.

    Source: Pascanu, Mikolov and Bengio 2013, Algorithm 1, for the gradient.

    Examples
    --------
    >>> from momentum_lib import gradient_descent, run
    >>> run(clipped(gradient_descent.at(eta=1.0)).at(threshold=5.0), lambda x: x, [6.0, 8.0], 1).theta[1]
    array([3., 4.])
    """
    if of not in ("gradient", "step"):
        raise RuleError(f"of is {of!r}; clip the 'gradient' or the 'step'.")

    def shorten(step: Callable[..., Any]) -> Callable[..., Any]:
        def shortened_step(*args: Any, threshold: Any, **letters: Any) -> Any:
            theta, *_, grad = args
            _refuse_unpositive(threshold)
            if of == "gradient":
                return step(*args[:-1], lambda x: _shortened(grad(x), threshold), **letters)
            new, *rest = as_tuple(step(*args, **letters))
            return theta + _shortened(new - theta, threshold), *rest

        return shortened_step

    made_by = (clipped, (a_rule(rule).base, *(of,) * (of != "gradient")))
    about = f"{rule.name} with each {of} shortened to length `threshold` where it is longer."
    return _wrapped(rule, shorten, made_by, about, ("threshold",))


def _wrapped(
    rule: Rule, wrap: Callable[..., Any], made_by: Any, about: str, letters: tuple[str, ...],
    slots: tuple[str, ...] = (),
) -> Rule:  # fmt: skip
    """A member of a family of rules around others: their letters and slots, and further ones behind."""
    base = rule.base
    open_ones = (n for n in base.hyper if n not in base.defaults)
    made = Rule(
        wrap(base.step),
        slots=(*base.slots, *slots),
        hyper=tuple(dict.fromkeys((*open_ones, *letters, *base.defaults))),
        name=f"{made_by[0].__name__}_{base.name}",
        made_by=made_by,
    )
    made.defaults, made.__doc__ = dict(base.defaults), about
    if base.has_first_step:
        made.first_step = wrap(base.first_step)
    return made.at(**{n: v for n, v in rule.setting.items() if base.defaults.get(n) is not v})


def _shortened(arrow: Any, threshold: Any) -> Any:
    length = _norm(arrow, threshold)
    # Where there is nothing to shorten, the factor is exactly 1.
    longer, where = length > threshold, namespace(length).where
    return arrow * where(longer, threshold / where(longer, length, threshold), 1.0)


def _refuse_unpositive(threshold: Any) -> None:
    try:
        least = np.min(np.asarray(threshold))
    except Exception:  # a tracer: what cannot be read is not checked
        return
    if not least > 0:
        raise RuleError(f"threshold is {least:g}; give a positive length.")


def lookahead(rule: Rule) -> Rule:
    """`rule` for `sync_period` steps, then a share of the way it came: fast steps, and a slow point behind.

    Where t passes a multiple of `sync_period`, the slot ``slow`` moves by `slow_step_size` of the way to
    theta, and theta returns to it. The other slots go on. The authors take 5 and 1/2, and report ``slow``.

    Raises
    ------
    RuleError
        What is no rule.

    Notes
    -----
    Around a linear rule this one is linear and periodic: it has no limit as t → ∞, and ``.at(t=...)`` reads
    one step of a period.

    Source: Zhang, Lucas, Hinton and Ba 2019, Algorithm 1.

    Examples
    --------
    >>> from momentum_lib import gradient_descent, run
    >>> rule = lookahead(gradient_descent.at(eta=0.5)).at(sync_period=2, slow_step_size=0.5)
    >>> run(rule, lambda x: x, 8.0, 4).theta
    array([8.   , 4.   , 5.   , 2.5  , 3.125])
    """
    counts = a_rule(rule).counts

    def follow(step: Callable[..., Any]) -> Callable[..., Any]:
        def followed(*args: Any, sync_period: Any, slow_step_size: Any, t: Any, **letters: Any) -> Any:
            if isinstance(t, float) and t == LIMIT:
                raise no_limit(f"lookahead({rule.name})")
            *state, slow, grad = args
            theta, *rest = as_tuple(step(*state, grad, **letters | ({"t": t} if counts else {})))
            now = _passes(t, sync_period)
            slow = slow + now * (slow_step_size * (theta - slow))
            return theta * (now == 0) + slow * now, *rest, slow

        return followed

    letters = ("sync_period", "slow_step_size", "t")
    about = f"{rule.name}, drawn back to a slow point each `sync_period` steps."
    return _wrapped(rule, follow, (lookahead, (rule.base,)), about, letters, ("slow",))


def _signum(theta: Any, m: Any, grad: Any, *, eta: Any, gamma: Any) -> Any:
    """SignSGD with momentum: the sign of the averaged gradient, a step of eta in every coordinate.

        m_t = gamma m_{t-1} + (1 - gamma) grad(theta_{t-1})
        theta_t = theta_{t-1} - eta sign(m_t)

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient]; eta [theta]
    Start: m = 0
    Not to be confused with: lion, whose sign weighs the newest gradient more
    Source: Bernstein, Wang, Azizzadenesheli and Anandkumar 2018, Algorithm 2
    """
    m = gamma * m + (1 - gamma) * grad(theta)
    return theta - eta * namespace(m).sign(m), m


def _lion(
    theta: Any, m: Any, grad: Any, *, eta: Any, beta1: Any = 0.9, beta2: Any = 0.99, weight_decay: Any = 0
) -> Any:
    """Lion: the sign of one average steps, another, slower one is kept; weight decay is decoupled.

        theta_t = (1 - eta weight_decay) theta_{t-1} - eta sign(beta1 m_{t-1} + (1 - beta1) grad(theta_{t-1}))
        m_t = beta2 m_{t-1} + (1 - beta2) grad(theta_{t-1})

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient]; eta [theta]
    Start: m = 0
    Not to be confused with: signum, lion at beta1 = beta2
    Source: Chen et al. 2023, Algorithm 2
    """
    gradient = grad(theta)
    ahead = beta1 * m + (1 - beta1) * gradient
    sign = namespace(ahead).sign(ahead)
    return (1 - eta * weight_decay) * theta - eta * sign, beta2 * m + (1 - beta2) * gradient


def _normalized_momentum(theta: Any, m: Any, grad: Any, *, eta: Any, gamma: Any) -> Any:
    """Momentum that gives the direction only: every step has length eta, none is taken where m is 0.

        m_t = gamma m_{t-1} + (1 - gamma) grad(theta_{t-1})
        theta_t = theta_{t-1} - eta m_t / ‖m_t‖

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient]; eta [theta]
    Start: m = 0
    Not to be confused with: clipped, which shortens the gradient and only where it is long
    Source: Cutkosky and Mehta 2020, Algorithm 1
    """
    m = gamma * m + (1 - gamma) * grad(theta)
    length = _norm(m, eta, gamma)
    return theta - eta * (m / namespace(length).where(length == 0, 1 + 0 * length, length)), m


def _adam(
    theta: Any, m: Any, s: Any, grad: Any, *, eta: Any, beta1: Any = 0.9, beta2: Any = 0.999,
    eps: Any = 1e-8, t: Any,
) -> Any:  # fmt: skip
    """Adam: averaged gradient over averaged square, both with bias correction.

        m_t = beta1 m_{t-1} + (1 - beta1) grad(theta_{t-1})
        s_t = beta2 s_{t-1} + (1 - beta2) grad(theta_{t-1})²
        theta_t = theta_{t-1} - eta (m_t / (1 - beta1^t)) / (sqrt(s_t / (1 - beta2^t)) + eps)

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient], s [gradient²]; eta [theta]
    Start: m = 0, s = 0
    Not to be confused with: bias_corrected, which divides a sum and not an average
    Source: Kingma and Ba 2015, Algorithm 1
    """
    m, s, root = _moments(m, s, grad(theta), beta1, beta2, eps, t)
    return theta - eta * (m / (1 - beta1**t)) / root, m, s


def _moments(m: Any, s: Any, gradient: Any, beta1: Any, beta2: Any, eps: Any, t: Any) -> tuple[Any, Any, Any]:
    """Both averages after the newest gradient, and Adam's denominator."""
    m = beta1 * m + (1 - beta1) * gradient
    s = beta2 * s + (1 - beta2) * gradient**2
    return m, s, namespace(s).sqrt(s / (1 - beta2**t)) + eps


def _adamw(
    theta: Any, m: Any, s: Any, grad: Any, *, eta: Any, beta1: Any = 0.9, beta2: Any = 0.999,
    eps: Any = 1e-8, weight_decay: Any = 0, t: Any,
) -> Any:  # fmt: skip
    """AdamW: Adam, and apart from its averages theta shrinks by eta weight_decay each step.

        m_t = beta1 m_{t-1} + (1 - beta1) grad(theta_{t-1})
        s_t = beta2 s_{t-1} + (1 - beta2) grad(theta_{t-1})²
        d_t = (m_t / (1 - beta1^t)) / (sqrt(s_t / (1 - beta2^t)) + eps)
        theta_t = (1 - eta weight_decay) theta_{t-1} - eta d_t

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient], s [gradient²]; eta [theta], eta weight_decay [1]
    Start: m = 0, s = 0
    Not to be confused with: adam on a loss with an L2 penalty, which divides the penalty's gradient by the
        root of s as well. Nothing decays unless told, as in lion; PyTorch's default is 0.01, optax's 1e-4
    Source: Loshchilov and Hutter 2019, Algorithm 2, with the schedule multiplier in eta
    """
    new, m, s = _adam(theta, m, s, grad, eta=eta, beta1=beta1, beta2=beta2, eps=eps, t=t)
    return new - eta * weight_decay * theta, m, s


def _nadam(
    theta: Any, m: Any, s: Any, grad: Any, *, eta: Any, beta1: Any = 0.9, beta2: Any = 0.999,
    eps: Any = 1e-8, t: Any,
) -> Any:  # fmt: skip
    """NAdam: Adam whose averaged gradient looks one step ahead, as Nesterov's momentum does.

        m_t = beta1 m_{t-1} + (1 - beta1) grad(theta_{t-1})
        s_t = beta2 s_{t-1} + (1 - beta2) grad(theta_{t-1})²
        n_t = beta1 m_t / (1 - beta1 beta1^t) + (1 - beta1) grad(theta_{t-1}) / (1 - beta1^t)
        theta_t = theta_{t-1} - eta n_t / (sqrt(s_t / (1 - beta2^t)) + eps)

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient], s [gradient²]; eta [theta]
    Start: m = 0, s = 0
    Not to be confused with: adam; torch.optim.NAdam, which warms beta1 up by a schedule of its own. This is
        the constant beta1 of optax.nadam
    Source: Dozat 2016, Algorithm 2, at constant beta1
    """
    m, s, root = _moments(m, s, gradient := grad(theta), beta1, beta2, eps, t)
    ahead = beta1 * m / (1 - beta1 * beta1**t) + (1 - beta1) * gradient / (1 - beta1**t)
    return theta - eta * ahead / root, m, s


# --- Muon -------------------------------------------------------------------------------------------


def _muon(theta: Any, m: Any, grad: Any, *, eta: Any, gamma: Any = 0.95, weight_decay: Any = 0) -> Any:
    """Muon: momentum whose matrices step with all singular values near 1; weight decay is decoupled.

        m_t = gamma m_{t-1} + (1 - gamma) grad(theta_{t-1})
        n_t = gamma m_t + (1 - gamma) grad(theta_{t-1})
        theta_t = (1 - eta weight_decay) theta_{t-1} - eta U V^T,  n_t = U S V^T

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient]; eta [theta]
    Start: m = 0
    Not to be confused with: normalized_momentum, one length for all of theta. A matrix is the last two axes
        of an array, each array of a `Parts` for itself; a vector is a column, where the authors use AdamW.
        They stretch eta by max(1, rows/columns)^(1/2), which depends on how a library lays out matrices
    Source: Jordan et al. 2024, and the authors' code
    """
    _refuse_a_cut("matrices", 2, eta, gamma, weight_decay)
    gradient = grad(theta)
    m = gamma * m + (1 - gamma) * gradient
    direction = by_parts(_orthogonalized, gamma * m + (1 - gamma) * gradient)
    return (1 - eta * weight_decay) * theta - eta * direction, m


def _orthogonalized(matrix: Any) -> Any:
    """U S' V^T of U S V^T: five quintic Newton-Schulz steps, whose coefficients are steep at zero.

    They do not converge: S' is 0.68 to 1.21 from 1/500 of the Frobenius norm up, and 0.7 where the rank is 1.
    """
    xp, shape = namespace(matrix), np.shape(matrix)
    x = matrix if len(shape) > 1 else xp.reshape(matrix, (-1, 1))
    x = x / (xp.sqrt(xp.sum(abs(x) ** 2, axis=(-2, -1), keepdims=True)) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = xp.swapaxes(x, -1, -2) if tall else x  # the smaller of the two Gram matrices
    for _ in range(5):
        gram = x @ xp.conj(xp.swapaxes(x, -1, -2))
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return xp.reshape(xp.swapaxes(x, -1, -2) if tall else x, shape)


gradient_restart: Final = Rule(_gradient_restart, name="gradient_restart")
fixed_restart: Final = Rule(_fixed_restart, name="fixed_restart")
signum: Final = Rule(_signum, name="signum")
lion: Final = Rule(_lion, name="lion")
normalized_momentum: Final = Rule(_normalized_momentum, name="normalized_momentum")
adam: Final = Rule(_adam, name="adam")
adamw: Final = Rule(_adamw, name="adamw")
nadam: Final = Rule(_nadam, name="nadam")
muon: Final = Rule(_muon, name="muon")

#: The rules of this module by name; `function_restart`, `clipped` and `lookahead` make more.
NONLINEAR: Final[dict[str, Rule]] = {
    made.name: made
    for made in (
        gradient_restart,
        fixed_restart,
        signum,
        lion,
        normalized_momentum,
        adam,
        adamw,
        nadam,
        muon,
    )
}
