"""Edge to PyTorch: a rule as a class of optimizers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from momentum_lib.adapters.edges import look_ahead_refused, names_elsewhere, one_number
from momentum_lib.clock import Clock, a_rule
from momentum_lib.collection import needs
from momentum_lib.definition import Rule, RuleError, is_schedule
from momentum_lib.parts import Parts

if TYPE_CHECKING:
    import torch

__all__ = ["as_torch"]

#: What PyTorch and its schedulers keep in a group beside the letters.
_OTHERS: Final = ("params", "param_names", "name", "initial_lr")


@needs("torch", "frameworks")
def as_torch(rule: Rule) -> type[torch.optim.Optimizer]:
    """Turn a rule into a subclass of ``torch.optim.Optimizer``.

    Its instances take PyTorch's names, ``lr`` for the step size, ``momentum`` for the momentum and ``betas``
    for beta1 and beta2, or the rule's own letters, as numbers or functions of t, also by parameter group;
    what is set on the rule is the default. The groups keep them under PyTorch's names, where its schedulers
    look for them.

    All parameters together are theta, in its `Parts`: nothing is flattened, and a rule that looks at whole
    points sees them whole. As in PyTorch a parameter without a gradient stays as it is for that step, and t,
    1 on a parameter's own first step, counts its steps. It stands in ``optimizer.state`` beside the slots.

    A letter that is a function is code and no state: ``state_dict`` leaves it out, and ``load_state_dict``
    keeps the one the optimizer was made with.

    Parameters
    ----------
    rule : Rule
        Written in arithmetic or in functions of the array's own `namespace`.

    Returns
    -------
    type[torch.optim.Optimizer]
        ``step()`` reads the gradients that ``backward`` left. A rule that reads the gradient away from theta
        (Nesterov's look-ahead) needs ``step(closure)``, where `closure` clears the gradients, computes the
        loss, calls ``backward`` and returns the loss; it is called at every point the rule asks for, and
        ``step`` returns the loss of the first.

    Raises
    ------
    RuleError
        What is no rule; from the class, an open or unknown letter, or one under two names; from ``step``, a
        sparse gradient, a needed closure left out.

    Examples
    --------
    >>> import torch
    >>> from momentum_lib import heavy_ball
    >>> theta = torch.ones(2, requires_grad=True)
    >>> optimizer = as_torch(heavy_ball)([theta], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (theta**2).sum().backward()
    ...     optimizer.step()
    >>> theta.tolist()
    [0.0, 0.0]
    """
    rule = a_rule(rule)
    import torch

    betas = ("beta1", "beta2") if {"beta1", "beta2"} <= {*rule.hyper} - {"betas"} else ()
    theirs = {n: v for n, v in names_elsewhere(rule, "lr", "momentum").items() if n not in betas}
    letter_of = {theirs.get(letter, letter): letter for letter in rule.hyper if letter not in (*betas, "t")}

    def in_letters(given: Mapping[str, Any]) -> dict[str, Any]:
        """PyTorch's names as letters; two names of one letter stay, for the rule to refuse."""
        pair = given.get("betas")
        if betas and isinstance(pair, Sequence) and len(pair) == 2 and not {*betas} & {*given}:
            given = {n: v for n, v in given.items() if n != "betas"} | dict(zip(betas, pair, strict=True))
        own = {name: letter_of.get(name, name) for name in given}
        return {name if own[name] in given else own[name]: value for name, value in given.items()}

    def in_names(letters: Mapping[str, Any]) -> dict[str, Any]:
        named = {theirs.get(letter, letter): value for letter, value in letters.items()}
        if betas and {*betas} <= {*named}:
            named["betas"] = tuple(map(named.pop, betas))
        return named

    def read(group: Mapping[str, Any], t: int) -> dict[str, Any]:
        """The letters of a group at step t, as a scheduler or the user last wrote them."""
        given = {letter: group[name] for name, letter in letter_of.items()}
        given |= zip(betas, group["betas"], strict=True) if betas else ()
        now = {n: one_number(n, value(t) if is_schedule(value) else value) for n, value in given.items()}
        return {**now, "t": t} if rule.counts else now

    def gradient_of(p: Any, keep: bool) -> Any:
        if p.grad is None:
            return torch.zeros_like(p)
        if p.grad.layout != torch.strided:
            raise RuleError(
                f"{rule.name} moves every coordinate at each step, and a gradient of shape "
                f"{tuple(p.shape)} is sparse; make it dense (torch.nn.Embedding(..., sparse=False))."
            )
        return p.grad.clone() if keep else p.grad

    def evaluate(closure: Any, params: list[Any], x: Any) -> Any:
        """The loss at x, its gradient left in the parameters, and they where they were."""
        home = [p.clone() for p in params]
        fill(params, x.parts)
        try:
            with torch.enable_grad():
                return closure()
        finally:
            fill(params, home)

    def fill(params: list[Any], values: Iterable[Any]) -> None:
        for p, value in zip(params, values, strict=True):
            p.copy_(value)

    class RuleOptimizer(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any, **letters: Any) -> None:
            super().__init__(params, in_names(rule.at(**in_letters(letters)).setting))

        def __reduce__(self) -> Any:
            return _unmade, (rule,), self.__getstate__()

        def add_param_group(self, param_group: dict[str, Any]) -> None:
            own = {n: v for n, v in param_group.items() if n not in _OTHERS or n in letter_of}
            default = {n: v for n, v in self.defaults.items() if n != "differentiable"}  # PyTorch's own
            clock = Clock(rule.at(**in_letters(default)).at(**in_letters(own)), one_number)
            rest = {n: v for n, v in param_group.items() if n not in own}
            super().add_param_group({**rest, **in_names({**clock.constants, **clock.schedules})})

        def state_dict(self) -> dict[str, Any]:
            saved = super().state_dict()
            groups = [{n: v for n, v in g.items() if not _is_code(v)} for g in saved["param_groups"]]
            return {**saved, "param_groups": groups}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            code = [{n: v for n, v in group.items() if _is_code(v)} for group in self.param_groups]
            code += [{}] * len(state_dict["param_groups"])  # PyTorch refuses another number of groups
            groups = [{**c, **g} for c, g in zip(code, state_dict["param_groups"], strict=False)]
            super().load_state_dict({**state_dict, "param_groups": groups})

        @torch.compiler.disable  # type: ignore[untyped-decorator]  # sums are chosen in Python
        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self, closure: Any = None) -> Any:
            rows = [
                (p, group, self.state.get(p, {}))
                for group in self.param_groups
                for p in group["params"]
                if p.requires_grad and (closure or p.grad is not None)
            ]
            if not rows:
                return None
            params = [p for p, _, _ in rows]
            kept = [
                state or dict(zip(rule.slots, map(torch.clone, rule.init(p.detach())), strict=True))
                for p, _, state in rows
            ]
            home = [Parts(params), *(Parts(slots[name] for slots in kept) for name in rule.slots[1:])]
            theta, *rest = (_Sum({point: 1}) for point in home)
            losses: list[Any] = []

            @functools.cache  # the first step and the body both ask at this theta
            def ask(x: Any) -> Any:
                if closure is not None:
                    losses.append(evaluate(closure, params, x))
                elif x is not theta:
                    raise look_ahead_refused(rule, "pass step a closure that recomputes loss and gradient")
                return _Sum({Parts(gradient_of(p, keep=closure is not None) for p in params): 1})

            times = [1 + state.get("t", 0) for _, _, state in rows]
            at = {(id(group), t): read(group, t) for (_, group, _), t in zip(rows, times, strict=True)}
            each = [at[id(group), t] for (_, group, _), t in zip(rows, times, strict=True)]
            letters = {n: _one(letters[n] for letters in each) for n in each[0]}
            # Where some parameters are at their first step, both steps are made at the whole theta.
            first = [t == 1 and rule.has_first_step for t in times]
            made = {
                early: rule.apply(rule.first_step if early else rule.step, (theta, *rest), ask, letters)
                for early in sorted(set(first))
            }
            order = {early: _order(home, new) for early, new in made.items()}
            for i, p in enumerate(params):
                if p.grad is not None:
                    slots = _write(made[first[i]], home, i, order[first[i]], p.grad)
                    self.state[p] = {"t": times[i], **dict(zip(rule.slots[1:], slots, strict=True))}
            return losses[0] if losses else None

    RuleOptimizer.__name__ = RuleOptimizer.__qualname__ = f"{rule.name}_optimizer"
    RuleOptimizer.__doc__ = f"{rule.card['Summary']} A PyTorch optimizer; see `momentum_lib.as_torch`."
    return RuleOptimizer


def _is_code(value: Any) -> bool:
    return any(map(is_schedule, value if isinstance(value, tuple) else (value,)))


def _one(values: Iterable[Any]) -> Any:
    """One number where all are equal, else one for each parameter."""
    values = tuple(values)
    return values[0] if len(set(values)) == 1 else Parts(values)


class _Sum(Parts):
    """A linear combination of points, added up where it is read, in one pass over memory for each point.

    Three lines of arithmetic would make a tensor for each of their operations; so a linear rule writes its
    slots in place, as PyTorch's own optimizers do.
    """

    __slots__ = ("_made", "terms")

    def __init__(self, terms: Mapping[Parts, Any]) -> None:
        self.terms, self._made = terms, ()

    @property
    def parts(self) -> tuple[Any, ...]:  # type: ignore[override]
        self._made = self._made or tuple(_added(self.at(i)) for i in range(len(next(iter(self.terms)).parts)))
        return self._made

    def at(self, i: int) -> list[tuple[Any, Any]]:
        """Coefficient and tensor of each term in part i; what counts 0 times is left out, as in PyTorch."""
        terms = [(c.parts[i] if type(c) is Parts else c, p.parts[i]) for p, c in self.terms.items()]
        return [term for term in terms if term[0] != 0] or [(0, terms[0][1])]

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Parts):
            return super().__add__(other)  # type: ignore[misc]
        terms = dict(self.terms)
        for point, c in (other.terms if isinstance(other, _Sum) else {other: 1}).items():
            terms[point] = terms[point] + c if point in terms else c
        return _Sum(terms)

    def __mul__(self, other: Any) -> Any:
        numbers = other.parts if type(other) is Parts else (other,)
        if not all(isinstance(number, int | float) for number in numbers):
            return super().__mul__(other)  # type: ignore[misc]
        return _Sum({point: c * other for point, c in self.terms.items()})

    def __truediv__(self, other: Any) -> Any:
        return self * (1 / other) if isinstance(other, int | float) else super().__truediv__(other)  # type: ignore[misc]

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


def _added(terms: list[tuple[Any, Any]], onto: Any = None) -> Any:
    """The sum of coefficient times tensor, in a new tensor or over `onto`, which is one of them."""
    (c, total), *rest = sorted(terms, key=lambda term: (term[1] is not onto, term[0] != 1))
    if c != 1:
        total = total * c if onto is None else total.mul_(c)
    elif onto is None and rest:
        (c, other), *rest = rest
        total = total.add(other, alpha=c)
    for c, other in rest:
        total = total.add_(other, alpha=c) if total.shape == other.shape else total.add(other, alpha=c)
    return total


def _order(home: Sequence[Parts], made: Sequence[Any]) -> list[tuple[int, bool]]:
    """The order in which the new slots are written, each with whether it is over the old one.

    It is where no other that is still to be written reads the old one; where all wait for each other, the
    last is made apart.
    """
    reads = [
        {p for p, c in new.terms.items() if type(c) is Parts or c != 0} if type(new) is _Sum else set()
        for new in made
    ]
    waiting, order = list(range(len(made))), []
    while waiting:
        free = [k for k in waiting if home[k] in reads[k] and sum(home[k] in reads[j] for j in waiting) == 1]
        k = free[0] if free else waiting[-1]
        order.append((k, bool(free)))
        waiting.remove(k)
    return order


def _write(
    made: Sequence[Any], home: Sequence[Parts], i: int, order: list[tuple[int, bool]], grad: Any
) -> list[Any]:
    """Write part i of every new slot; those after theta are returned."""
    old = [slot.parts[i] for slot in home]
    new, lent = [*old], {x.untyped_storage().data_ptr() for x in (*old, grad)}
    for k, over in order:
        if over:
            _added(made[k].at(i), old[k])
        else:
            value = _added(made[k].at(i)) if type(made[k]) is _Sum else made[k].parts[i]
            if k == 0:
                old[k].copy_(value)
            else:  # a slot of its own, whatever the rule handed back
                new[k] = value.clone() if value.untyped_storage().data_ptr() in lent else value
    return new[1:]


def _unmade(rule: Rule) -> Any:
    """An optimizer of this rule for a pickle to fill."""
    kind: Any = as_torch(rule)
    return kind.__new__(kind)
