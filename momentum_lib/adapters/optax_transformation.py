"""Edge to optax: a rule as a gradient transformation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from momentum_lib.adapters.edges import look_ahead_refused, one_number
from momentum_lib.clock import Clock
from momentum_lib.definition import Rule, RuleError
from momentum_lib.schedules import Schedule

if TYPE_CHECKING:
    import optax

__all__ = ["RuleState", "as_optax"]


class RuleState(NamedTuple):
    """State of a rule under optax: steps made, and the slots after theta, each as one flat vector."""

    t: Any
    slots: tuple[Any, ...]


def as_optax(rule: Rule) -> optax.GradientTransformationExtraArgs:
    """Turn a rule into an optax gradient transformation.

    The parameters, a tree of arrays, are theta as one vector, so a rule that looks at whole points sees them
    whole. ``update`` needs ``params``; what it returns is added by ``optax.apply_updates``. The learning rate
    is in the rule: nothing scales the updates afterwards. Where JAX runs in float32, so does the rule.

    Parameters
    ----------
    rule : Rule
        At its setting; written in arithmetic, as those of `RULES` are: NumPy's functions do not trace. A
        letter is a number, traced or not, or a function of t. **t is 1 on the first step**; optax's own
        schedules count from 0, so write ``.at(eta=lambda t: schedule(t - 1))``.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        optax hands over the gradient at theta. A rule that reads it elsewhere (Nesterov's look-ahead) takes
        ``update(gradients, state, params, grad_fn=jax.grad(loss))`` and ignores ``gradients``.

    Raises
    ------
    RuleError
        What is no rule, an open letter; from ``update``, params or a needed gradient function left out.

    Examples
    --------
    >>> import jax, optax
    >>> from momentum_lib import heavy_ball
    >>> params, gradient = {"w": jax.numpy.ones(2)}, jax.grad(lambda p: (p["w"] ** 2).sum())
    >>> optimizer = as_optax(heavy_ball.at(eta=0.25, gamma=0.5))
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(gradient(params), state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> params["w"].tolist()
    [0.0, 0.0]
    """
    import jax
    import optax
    from jax.flatten_util import ravel_pytree

    numpy = jax.numpy

    def read(name: str, value: Any) -> Any:
        return value if isinstance(value, jax.core.Tracer) else one_number(name, value)

    def traceable(schedule: Schedule) -> Any:
        """A schedule of the library counts in NumPy, so it is called back from the trace."""

        def traced(t: Any) -> Any:
            like = jax.ShapeDtypeStruct((), numpy.result_type(float))
            return jax.pure_callback(lambda t: np.asarray(schedule(int(t)), like.dtype), like, t)

        return traced

    clock = Clock(rule, read)
    clock.letters(1)  # what is wrong with a schedule is told here, not from within a trace
    ours = {name: traceable(s) for name, s in clock.schedules.items() if isinstance(s, Schedule)}
    clock = Clock(rule.at(**ours), read)

    def init(params: Any) -> RuleState:
        theta, _ = ravel_pytree(params)
        # Copies: a jitted step may donate parameters and state, and no buffer can be given away twice.
        return RuleState(numpy.zeros((), int), tuple(numpy.array(s) for s in rule.init(theta)[1:]))

    def update(
        gradients: Any, state: RuleState, params: Any = None, *, grad_fn: Any = None, **extra: Any
    ) -> tuple[Any, RuleState]:
        if params is None:
            raise RuleError(f"{rule.name} moves theta; call update(gradients, state, params).")
        theta, unravel = ravel_pytree(params)

        def ask(x: Any) -> Any:
            if grad_fn is not None:
                return ravel_pytree(grad_fn(unravel(x)))[0]
            if x is not theta:
                raise look_ahead_refused(rule, "pass grad_fn=jax.grad(loss) to update")
            return ravel_pytree(gradients)[0]

        t = state.t + 1
        letters = {n: numpy.asarray(v, theta.dtype) for n, v in clock.letters(t).items()}

        def take(t: int) -> Any:
            slots = rule.apply(clock.body(t), (theta, *state.slots), ask, letters)
            return tuple(numpy.asarray(slot, theta.dtype) for slot in slots)

        if rule.has_first_step:
            new, *slots = jax.lax.cond(t == 1, lambda: take(1), lambda: take(2))
        else:
            new, *slots = take(2)
        return unravel(new - theta), RuleState(t, tuple(slots))

    return optax.GradientTransformationExtraArgs(init, update)
