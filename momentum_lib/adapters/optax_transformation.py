"""Edge to optax: a rule as a gradient transformation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from momentum_lib.adapters.edges import look_ahead_refused, one_number
from momentum_lib.clock import Clock
from momentum_lib.collection import needs
from momentum_lib.definition import Rule, RuleError
from momentum_lib.parts import Parts

if TYPE_CHECKING:
    import optax

__all__ = ["RuleState", "as_optax"]


class RuleState(NamedTuple):
    """State of a rule under optax: steps made, and the slots after theta, each a tree like the parameters."""

    t: Any
    slots: tuple[Any, ...]


@needs("optax", "learning")
def as_optax(rule: Rule) -> optax.GradientTransformationExtraArgs:
    """Turn a rule into an optax gradient transformation.

    The parameters, a tree of arrays, are theta in its `Parts`: a rule that looks at whole points sees them
    whole, and every array keeps its shape, type and sharding, in the state too. ``update`` needs ``params``;
    what it returns is added by ``optax.apply_updates``. The learning rate is in the rule: nothing scales the
    updates afterwards. Where JAX runs in float32, so does the rule.

    Parameters
    ----------
    rule : Rule
        At its setting; written in arithmetic or in functions of the array's own `namespace`: NumPy's do not
        trace. A letter is a number, traced or not, or a function of t. **t is 1 on the first step**; optax's
        own schedules count from 0, so write ``.at(eta=lambda t: schedule(t - 1))``.

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

    numpy = jax.numpy

    def read(name: str, value: Any) -> Any:
        traced = isinstance(value, jax.Array) and not value.ndim
        return value if traced else one_number(name, value)

    clock = Clock(rule, read)
    clock.letters(1)  # what is wrong with a schedule is told here, not from within a trace

    def leaves(tree: Any) -> Parts:
        return Parts(jax.tree.leaves(tree))

    def init(params: Any) -> RuleState:
        _, *rest = rule.init(leaves(params))
        shape = jax.tree.structure(params)
        # Copies: a jitted step may donate parameters and state, and no buffer can be given away twice.
        slots = tuple(shape.unflatten(map(numpy.array, slot.parts)) for slot in rest)
        return RuleState(numpy.zeros((), int), slots)

    def update(
        gradients: Any, state: RuleState, params: Any = None, *, grad_fn: Any = None, **extra: Any
    ) -> tuple[Any, RuleState]:
        if params is None:
            raise RuleError(f"{rule.name} moves theta; call update(gradients, state, params).")
        theta, shape = leaves(params), jax.tree.structure(params)

        @functools.cache  # the first step and the body both ask at this theta
        def ask(x: Any) -> Any:
            if grad_fn is not None:
                return leaves(grad_fn(shape.unflatten(x.parts)))
            if x is not theta:
                raise look_ahead_refused(rule, "pass grad_fn=jax.grad(loss) to update")
            return leaves(gradients)

        t = state.t + 1
        letters, slots = clock.letters(t), map(leaves, state.slots)
        now = (theta, *slots)

        def take(t: int) -> Any:
            made = rule.apply(clock.body(t), now, ask, letters)
            return tuple(
                [numpy.asarray(a, b.dtype) for a, b in zip(new.parts, old.parts, strict=True)]
                for new, old in zip(made, now, strict=True)
            )

        new, *rest = take(2)
        if rule.has_first_step:  # a choice array by array fuses with the step; a branch would copy the state
            both = zip(take(1), (new, *rest), strict=True)
            new, *rest = (list(map(functools.partial(numpy.where, t == 1), *pair)) for pair in both)
        moved = [a - b for a, b in zip(new, theta.parts, strict=True)]
        return shape.unflatten(moved), RuleState(t, tuple(map(shape.unflatten, rest)))

    return optax.GradientTransformationExtraArgs(init, update)
