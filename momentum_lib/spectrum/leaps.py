"""Hitting and settling times of constant rules with one or two slots, without a look at every step.

From theta_1 and theta_2 on, theta_{t+1} = trace theta_t - det theta_{t-1} in each mode. As both numbers stay,
a bound tells for how many steps a mode keeps a cell outside, and doubling carries it there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from momentum_lib.clock import Clock
from momentum_lib.spectrum.probing import Reading, radius_of_quadratic, trace_det

Array = np.ndarray[Any, Any]

#: Entries stepped at most for one call: minutes.
MOST = 2e10

#: Steps between two leaps: even, and enough to pay for them.
_LOOK = 64

#: Entries up to which plain floats are faster than arrays.
_FEW = 8


class _Cells(NamedTuple):
    """The cells of a map that are not answered yet, each at a step of its own.

    `place` in the map, `clock` and the `answer` so far are (cells,), the rest (modes, cells): `before` and
    `now` are theta at the steps clock - 1 and clock. All are changed in place.
    """

    place: Array
    clock: Array
    answer: Array
    trace: Array
    det: Array
    before: Array
    now: Array


def too_long(cells: int, modes: int, cap: int) -> ValueError:
    """The refusal of a count that would take hours."""
    return ValueError(
        f"{modes} modes in {cells} cells take too long to step to cap={cap}; lower cap or take fewer cells."
    )


def can_leap(clock: Clock) -> bool:
    """Whether theta follows a real recurrence of two terms that stays."""
    real = not any(map(np.iscomplexobj, clock.constants.values()))
    return real and not clock.varies and len(clock.rule.slots) <= 2


def cells_of(clock: Clock) -> int:
    """How many cells a clock is about, whose letters have one entry a cell."""
    return max((np.size(value) for value in clock.letters(1).values()), default=1)


def leapt(
    clock: Clock,
    lam: Array,
    start: Array,
    tol: float,
    cap: int,
    settle: bool,
    tell: Callable[[int], None] = lambda t: None,
) -> Array:
    """The numbers of `times.stepped`, from the same arguments."""
    level2 = tol * tol * float(np.einsum("ij,ij->", start, start))
    ask = (level2, cap, settle)
    cells = _first_steps(clock, lam, start)
    cells.answer[:] = float(tol < 1) if settle else np.inf
    _note(cells, cells.before, cells.clock - 1, *ask)
    _note(cells, cells.now, cells.clock, *ask)
    out, looked = np.empty(len(cells.place)), 0
    while True:
        _leap(cells, *ask)
        done = cells.clock >= cap
        if settle:
            done |= _settled(cells, math.sqrt(level2))
        else:  # what overflowed never comes back
            done |= np.isfinite(cells.answer) | ~np.isfinite(cells.now).all(axis=0)
        out[cells.place[done]] = cells.answer[done]
        cells = _Cells(*(np.compress(~done, part, axis=-1) for part in cells))
        if not cells.place.size:
            return out
        looked += _LOOK * max(cells.now.size, 1000)
        if looked > MOST:
            raise too_long(len(out), len(lam), cap)
        tell(int(cells.clock.min()))
        (_look if cells.now.size > _FEW else _look_plainly)(cells, *ask)


def _first_steps(clock: Clock, lam: Array, start: Array) -> _Cells:
    """Every cell after two steps, with its trace and determinant."""
    reading = Reading(clock.rule, clock.rule.step, clock.letters(2))
    trace, det = trace_det([reading.advance(unit, lam) for unit in np.eye(len(clock.rule.slots))])
    one = clock.advance(clock.rule.init(start), lambda x: lam * x, 1)
    two = clock.advance(one, lambda x: lam * x, 2)
    count = cells_of(clock)
    parts = [np.array(np.broadcast_to(x, (len(lam), count)), float) for x in (trace, det, one[0], two[0])]
    return _Cells(np.arange(count), np.full(count, 2), np.empty(count), *parts)


def _look(cells: _Cells, level2: float, cap: int, settle: bool) -> None:
    """Take some steps and look at each."""
    clock, before, now, work = cells.clock, cells.before, cells.now, np.empty_like(cells.now)
    for _ in range(_LOOK):
        np.multiply(cells.det, before, out=before)
        np.multiply(cells.trace, now, out=work)
        np.subtract(work, before, out=before)
        before, now = now, before
        clock += 1
        _note(cells, now, clock, level2, cap, settle)


def _look_plainly(cells: _Cells, level2: float, cap: int, settle: bool) -> None:
    """The same in plain floats, which costs a few entries a twentieth of what arrays do."""
    for k, (t, answer) in enumerate(zip(cells.clock.tolist(), cells.answer.tolist(), strict=True)):
        modes = np.stack([part[:, k] for part in cells[3:]], axis=-1).tolist()
        for t in range(t + 1, t + 1 + 16 * _LOOK):  # noqa: B020, PLW2901
            modes = [[p, d, x, p * x - d * y] for p, d, y, x in modes]
            inside = sum([mode[3] * mode[3] for mode in modes]) <= level2
            if settle and not inside and t <= cap:
                answer = t + 1
            elif inside and not settle:
                answer = min(answer, t)
                break
        cells.clock[k], cells.answer[k] = t, answer
        cells.before[:, k], cells.now[:, k] = np.array(modes)[:, 2:].T


def _note(cells: _Cells, theta: Array, t: Array, level2: float, cap: int, settle: bool) -> None:
    """What theta at step t answers: the first step inside, or the one after the last outside."""
    inside = np.einsum("ij,ij->j", theta, theta) <= level2
    if settle:
        np.copyto(cells.answer, t + 1, where=~inside & (t <= cap))
    elif inside.any():
        np.copyto(cells.answer, t, where=inside & (t < cells.answer))


def _leap(cells: _Cells, level2: float, cap: int, settle: bool) -> None:
    """Carry cells over steps that need no look, m steps each; the digits of m are read from the top.

    theta_{s+m} = a theta_s + b theta_{s+1} for every s. Doubling m, and adding 1 to it, give the new a and
    b from the old.
    """
    level = math.sqrt(level2) * (1 + 1e-9)
    ahead = _outside(cells, level)
    if settle:
        ahead = np.maximum(ahead, _exits(cells, level, cap))
    ahead = np.minimum(ahead, cap - cells.clock)
    go = np.flatnonzero(ahead > _LOOK)
    m = ahead[go].astype(int)
    trace, det, before, now = (np.take(part, go, axis=1) for part in cells[3:])
    a, b = np.ones_like(trace), np.zeros_like(trace)  # m = 0
    for bit in reversed(range(int(m.max(initial=0)).bit_length())):
        shift = det * b
        a, b = a * a - shift * b, b * (2 * a + trace * b)
        odd = (m >> bit) & 1 == 1
        a, b = np.where(odd, -det * b, a), np.where(odd, a + trace * b, b)
    cells.clock[go] += m
    cells.before[:, go] = a * before + b * now
    cells.now[:, go] = a * now + b * (trace * now - det * before)
    if settle:  # `_exits` means this step or the one before
        _note(cells, cells.before, cells.clock - 1, level2, cap, settle)
        _note(cells, cells.now, cells.clock, level2, cap, settle)


def _outside(cells: _Cells, level: float) -> Array:
    """How many steps the modes with real roots certainly keep each cell outside; inf for ever.

    With theta_{t+k} = A r1^k + B r2^k and |r1| >= |r2|, theta_{t+k} / r1^k tends to A, steadily along the
    even and along the odd k. So |theta_{t+k}| >= |r1|^k times the least of its moduli at k = -1, 0 and
    infinity, provided that these three have one sign.
    """
    half = cells.trace / 2
    disc = half * half - cells.det
    root = np.copysign(np.sqrt(np.maximum(disc, 0)), half)
    r1 = half + root
    ends = cells.before * r1, cells.now, (cells.now * r1 - cells.det * cells.before) / (2 * root)
    least = np.minimum(np.minimum(np.abs(ends[0]), np.abs(ends[1])), np.abs(ends[2]))
    # Too near to a double root, r1 is known to half the digits only.
    sound = (disc > 1e-10 * half * half) & (ends[0] * ends[1] > 0) & (ends[1] * ends[2] > 0)
    least = np.where(sound, least, 0)
    shrink = np.maximum(-np.log(np.abs(r1)), 0)
    steps = np.floor(np.log(least / level) / shrink) - 1
    # Together: the logarithm of the sum of squares lies above its tangent.
    total = (least * least).sum(axis=0)
    slope = 2 * (shrink * least * least).sum(axis=0) / total
    jointly = np.floor(np.log(total / level**2) / slope) - 1
    alone = np.where(least > level, np.maximum(steps, 0), 0).max(axis=0)
    return np.asarray(np.where(total > level * level, np.maximum(jointly, alone), 0))


def _exits(cells: _Cells, level: float, cap: int) -> Array:
    """How many steps ahead a mode with complex roots still leaves each cell: just before, then or later.

    w = theta_t^2 - trace theta_t theta_{t-1} + det theta_{t-1}^2 shrinks by det a step, exactly. It is at
    most `stretch` times the larger of the two squares: one of these two is outside. And theta is
    C rho^k cos(phase): within half a round a step comes as near to a peak as half of what one turns.
    """
    half = cells.trace / 2
    swing2 = cells.det - half * half
    w = (cells.now - half * cells.before) ** 2 + swing2 * cells.before**2  # no cancellation
    stretch = 1 + cells.det + np.sqrt((1 - cells.det) ** 2 + cells.trace * cells.trace)
    turn = np.arctan2(np.sqrt(swing2), np.abs(half))
    wait = np.ceil(np.pi / turn) + 2
    shrink = -np.log(cells.det) / 2

    def lasts(room: Array) -> Array:
        steps = np.where(shrink > 0, np.floor(np.log(room) / shrink / 2) - 1, np.inf)
        return np.where((swing2 > 0) & (room > 1), np.maximum(steps, 0), 0)

    pair = lasts(w / (stretch * level * level))
    peak = lasts(w / swing2 * (np.cos(turn / 2) / level) ** 2) - wait
    peak = np.minimum(peak, cap - cells.clock - wait)
    return np.asarray(np.where(swing2 > 0, np.maximum(pair, peak), 0).max(axis=0))


def _settled(cells: _Cells, level: float) -> Array:
    """Whether no later step can be outside.

    theta_{t+k} = U_k theta_t - det U_{k-1} theta_{t-1}, where U_k = (r1^k - r2^k)/(r1 - r2) is at most
    rho^k/|r1 - r2| times 2 and, at a double root too, k rho^(k-1). Away from a double root a mode is two
    powers, at most the sum of their moduli, or a swing, at most its amplitude.
    """
    before, now, half = cells.before, cells.now, cells.trace / 2
    rho = radius_of_quadratic(cells.trace, cells.det)
    disc = half * half - cells.det
    root = np.sqrt(np.abs(disc))
    most = np.where(rho < 1, np.minimum(rho / root, 1 / (math.e * rho * -np.log(rho))), np.inf)
    bound = most * (np.abs(now) + np.abs(cells.det * before))
    r1 = half + np.copysign(root, half)
    r2 = cells.det / r1
    powers = (np.abs(r1 * (now - r2 * before)) + np.abs(r2 * (now - r1 * before))) / (2 * root)
    swing = rho * np.hypot((now - half * before) / root, before)
    known = np.where(disc > 0, powers, swing)
    bound = np.where((np.abs(disc) > 1e-6 * half * half) & (rho < 1), np.minimum(bound, known), bound)
    bound = np.where(rho > 0, bound, np.abs(now))
    return np.asarray(np.linalg.norm(bound, axis=0) <= level * (1 - 1e-9))
