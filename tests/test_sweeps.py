"""Sweeps: the frame is the loop over the grid, whoever carries it, and says what diverged."""

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path
from threading import Lock

import numpy as np
import pytest

from momentum_lib import Rule, RuleError, heavy_ball, nesterov, run, torch_sgd
from momentum_lib.problems import DoubleWell, Noisy, Quadratic
from momentum_lib.schedules import nesterov_sequence, sutskever
from momentum_lib.sweeps import sweep

F = Quadratic([1.0, 0.1])
GRID = {"eta": [0.1, 1.0, 5.0], "gamma": [0.0, 0.5, 0.9, 0.99]}
quiet = partial(sweep, progress=False)


def final(out):
    return np.linalg.norm(out.theta[-1], axis=-1)


def test_the_frame_is_the_loop_over_the_grid():
    measures = {"final": final, "v": lambda out: out.slots["v"][-1, :, 0]}
    frame = quiet(heavy_ball, F, 40, GRID, measures, theta0=[1.0, 2.0], record=["theta", "v"], every=20)
    assert list(frame.columns) == ["eta", "gamma", "measure", "value", "diverged_at"]
    assert (
        len(frame) == 24 and frame["measure"].tolist()[:2] == ["final", "v"] and frame["eta"].dtype == float
    )
    for row in frame.itertuples():
        out = run(heavy_ball.at(eta=row.eta, gamma=row.gamma), F.grad, [1.0, 2.0], 40)
        measured = final(out) if row.measure == "final" else out.slots["v"][-1, 0]
        assert row.value == pytest.approx(measured, rel=1e-12)
    order = frame[::2][["eta", "gamma"]].to_numpy().tolist()
    assert order == [[eta, gamma] for eta in GRID["eta"] for gamma in GRID["gamma"]]


def test_diverged_points_are_kept_and_named():
    frame = quiet(heavy_ball.at(gamma=0.0), F, 4000, {"eta": [1.0, 5.0]}, final)
    alone = run(heavy_ball.at(eta=5.0, gamma=0.0), F.grad, [1.0, 1.0], 4000)
    assert frame["diverged_at"].tolist() == [np.inf, alone.diverged_at]
    assert np.isfinite(frame["value"]).tolist() == [True, False]


@pytest.mark.parametrize("chunk", [1, 5, 12, 100])
def test_the_cut_does_not_show(chunk):
    whole = quiet(heavy_ball, F, 30, GRID, final)
    assert quiet(heavy_ball, F, 30, GRID, final, chunk=chunk).equals(whole)


class Losing(Executor):
    """Holds some pieces, then does them in an order of its own; loses the answers to the first it got."""

    def __init__(self, losses, order=0, together=6):
        self.losses, self.order, self.together = losses, random.Random(order), together
        self.asked, self.held = 0, []

    def submit(self, work, *arguments):
        self.asked += 1
        future = Future()
        self.held.append((future, partial(work, *arguments), self.asked <= self.losses))
        if self.asked >= self.together:
            self.order.shuffle(self.held)
            for held, piece, lost in self.held:
                held.set_exception(OSError("out of reach")) if lost else held.set_result(piece())
            self.held = []
        return future


NOISY = partial(quiet, heavy_ball, Noisy(F, 0.1), 30, GRID, measure={"final": final}, seeds=[0, 1], chunk=5)


@pytest.mark.parametrize("losses", [0, 1, 6])
@pytest.mark.parametrize("order", [0, 1])
def test_any_executor_carries_the_same_frame(losses, order):
    assert NOISY(executor=Losing(losses, order)).equals(NOISY())


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_carries_the_same_frame(workers):
    with ThreadPoolExecutor(workers) as threads:
        assert NOISY(executor=threads).equals(NOISY())


def test_what_is_lost_three_times_is_told():
    with pytest.raises(RuntimeError, match=r"piece \d was lost 3 times.*out of reach"):
        NOISY(executor=Losing(10**6))


def test_an_executor_that_takes_no_more_is_told():
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="takes no more work .*shutdown.*go on with a new one"):
        NOISY(executor=threads)


def test_an_error_of_the_work_is_raised_at_once_and_from_where_it_was():
    calls = []

    def faulty(out):
        calls.append(out)
        raise KeyError("eta_max")

    with ThreadPoolExecutor(1) as threads, pytest.raises(KeyError, match="eta_max") as caught:
        quiet(heavy_ball, F, 3, GRID, faulty, threads)
    assert len(calls) == 1 and "in faulty" in caught.value.__notes__[0]


def tallied(out, folder, stop):
    """`final`, leaving a file at every call; at the call that `stop` says the whole process is killed."""
    calls = len(list(folder.glob("call-*")))
    if calls == stop and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"call-{calls}-{os.getpid()}").touch()
    return final(out)


KILLED = """
from functools import partial
from pathlib import Path
from test_sweeps import NOISY, tallied
NOISY(measure=partial(tallied, folder=Path("."), stop=4), folder="kept")
"""


def test_a_sweep_that_was_killed_goes_on(tmp_path):
    """In processes of their own, whose texts hash differently: what is kept has one name in all."""
    here = Path(__file__).parent
    told = os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}", "PYTHONHASHSEED": "random"}
    runs = [subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=told) for _ in range(2)]
    assert [run.returncode for run in runs] == [-signal.SIGKILL, 0]
    assert len([*tmp_path.glob("call-*")]) == len([*tmp_path.rglob("*.npz")]) == 6


def test_what_is_kept_is_read_and_what_is_damaged_is_done_again(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    measure = partial(tallied, folder=folder, stop=None)
    whole = NOISY(measure=measure, folder=tmp_path / "kept")
    files = sorted((tmp_path / "kept").rglob("*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:-30])
    files[1].write_bytes(b"")
    files[2].unlink()
    again = NOISY(measure=measure, folder=tmp_path / "kept", executor=Losing(2, together=3))
    assert again.equals(whole) and len([*folder.iterdir()]) == 6 + 3


def test_a_worker_that_is_killed_costs_what_it_had(tmp_path):
    measure = partial(tallied, folder=tmp_path, stop=4)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as broken:
        with pytest.raises(RuntimeError, match="go on with a new one"):
            NOISY(measure=measure, folder=tmp_path / "kept", executor=broken)
    done = len([*tmp_path.rglob("*.npz")])
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as whole:
        frame = NOISY(measure=measure, folder=tmp_path / "kept", executor=whole)
    assert done == 4 and len([*tmp_path.glob("call-*")]) == 6
    assert (frame["value"].to_numpy() == NOISY()["value"].to_numpy()).all()


LIMIT = 0.5


def scaled(factor, out):
    return factor * final(out)


def closed(factor):
    return lambda out: factor * final(out)


def below(out):
    return final(out) < LIMIT


@Rule
def mine(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(theta)
    return theta - v, v


class Bowl:
    minimizer = np.zeros(2)
    curvature = 1.0

    def grad(self, theta):
        return self.curvature * theta


def bowl(grad=None, **members):
    return type("Bowl", (Bowl,), {"__module__": __name__, **({"grad": grad} if grad else {}), **members})()


USUAL = {"rule": heavy_ball, "problem": F, "steps": 20, "grid": GRID, "measure": lambda out: final(out)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"steps": 20}, {"steps": 21}),
        ({}, {"chunk": 5}),
        ({}, {"every": 20}),
        ({}, {"theta0": [1.0, 2.0]}),
        ({}, {"record": ["theta", "v"]}),
        ({}, {"rule": nesterov}),
        ({"rule": torch_sgd.at(dampening=0.0)}, {"rule": torch_sgd.at(dampening=0.5)}),
        ({}, {"grid": {**GRID, "gamma": [0.0, 0.5, 0.9, 0.999]}}),
        ({}, {"problem": Quadratic([1.0, 0.2])}),
        ({"problem": Noisy(F, 0.1), "seeds": [0]}, {"problem": Noisy(F, 0.2), "seeds": [0]}),
        ({}, {"measure": lambda out: 2 * final(out)}),
        ({"measure": {"a": final}}, {"measure": {"b": final}}),
        ({"measure": lambda out, p=1: p * final(out)}, {"measure": lambda out, p=2: p * final(out)}),
        ({"measure": partial(scaled, 1)}, {"measure": partial(scaled, 2)}),
        ({"measure": closed(1)}, {"measure": closed(2)}),
        (
            {"measure": lambda out: [1 + x for x in final(out)]},
            {"measure": lambda out: [2 + x for x in final(out)]},
        ),
        ({"rule": mine}, {"rule": heavy_ball}),
        ({"problem": bowl()}, {"problem": bowl(curvature=2.0)}),
        ({"problem": bowl()}, {"problem": bowl(lambda self, theta: 3 * theta)}),
    ],
)
def test_another_sweep_is_kept_elsewhere(tmp_path, one, other):
    for change in (one, other, one):
        quiet(**USUAL | change, folder=tmp_path)
    assert len([*tmp_path.iterdir()]) == 2


def test_a_value_that_a_measure_reads_belongs_to_the_sweep(tmp_path, monkeypatch):
    for limit in (0.5, 0.1, 0.5):
        monkeypatch.setitem(globals(), "LIMIT", limit)
        frame = quiet(**USUAL | {"measure": below}, folder=tmp_path)
        assert frame.equals(quiet(**USUAL | {"measure": below}))
    assert len([*tmp_path.iterdir()]) == 2


def test_what_a_problem_has_computed_meanwhile_makes_no_other_sweep(tmp_path):
    f = Quadratic(matrix=[[2.0, 1.0], [1.0, 3.0]])
    quiet(**USUAL | {"problem": f}, folder=tmp_path)
    before = len(vars(f))
    assert f.mu < f.L and f.minimum == 0
    quiet(**USUAL | {"problem": f}, folder=tmp_path)
    assert len(vars(f)) > before and len([*tmp_path.iterdir()]) == 1


def test_what_cannot_be_told_from_its_like_is_not_kept(tmp_path):
    with pytest.raises(ValueError, match="nothing is kept of it: lock has no settings .*leave folder out"):
        quiet(**USUAL | {"measure": partial(lambda lock, out: final(out), Lock())}, folder=tmp_path)


def test_a_process_pool_carries_what_can_be_sent():
    grid = {"eta": [1.0, 5.0], "gamma": [0.5, nesterov_sequence()]}
    measure = {"diverged": attrgetter("diverged_at")}
    here = quiet(heavy_ball, F, 2000, grid, measure, chunk=1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        there = quiet(heavy_ball, F, 2000, grid, measure, processes, chunk=1)
        assert there["value"].tolist() == here["value"].tolist() == here["diverged_at"].tolist()
        with pytest.raises(ValueError, match="ThreadPoolExecutor"):
            quiet(heavy_ball, F, 3, GRID, lambda out: final(out), processes)


def test_seeds_repeat_the_sweep_and_a_row_depends_on_its_seed():
    frame = quiet(heavy_ball, Noisy(F, 0.1), 30, GRID, final, seeds=[3, 4])
    assert frame["seed"].tolist() == [3] * 12 + [4] * 12
    again = quiet(heavy_ball, Noisy(F, 0.1), 30, GRID, final, seeds=[4])
    stable = frame[frame["seed"] == 4]["value"].to_numpy()
    assert (stable == again["value"].to_numpy()).all()
    assert (frame["value"][:8].to_numpy() != stable[:8]).all()


def test_every_chunk_of_a_seed_draws_from_a_stream_of_its_own():
    same = {"eta": [0.5] * 6}
    frame = quiet(heavy_ball.at(gamma=0.5), Noisy(F, 0.1), 30, same, final, seeds=[0, 1], chunk=2)
    assert len(set(frame["value"])) == 12


def test_schedules_are_grid_values():
    gammas = [0.9, sutskever(0.99, 10), nesterov_sequence()]
    frame = quiet(nesterov, F, 50, {"gamma": gammas, "eta": [0.5, 1.0]}, final)
    assert frame["gamma"].tolist() == [g for g in gammas for _ in range(2)]
    for row in frame.itertuples():
        alone = run(nesterov.at(eta=row.eta, gamma=row.gamma), F.grad, [1.0, 1.0], 50)
        assert row.value == pytest.approx(final(alone), rel=1e-12)
    only = quiet(nesterov.at(eta=1.0), F, 50, {"gamma": gammas[1:] + gammas[1:]}, final)
    assert only["value"].tolist() == pytest.approx(2 * frame["value"][[3, 5]].tolist(), rel=1e-12)


def test_a_default_may_be_swept_and_a_schedule_may_stay():
    held = torch_sgd.at(eta=0.1, gamma=sutskever(0.9, 5))
    frame = quiet(held, F, 20, {"dampening": [0.0, 0.5]}, final)
    alone = [final(run(held.at(dampening=d), F.grad, [1.0, 1.0], 20)) for d in (0.0, 0.5)]
    assert frame["value"].tolist() == pytest.approx(alone, rel=1e-12) and alone[0] != alone[1]


def test_the_start_stands_beside_the_minimizer():
    f = Quadratic([1.0, 2.0], minimizer=[3, 4])
    frame = quiet(heavy_ball, Noisy(f, 0.0), 0, {"eta": [0.1], "gamma": [0.5]}, final, seeds=[0])
    assert frame["value"][0] == pytest.approx(np.hypot(4, 5))
    left = {"left": lambda out: (out.theta[-1] < 0).mean(axis=-1)}
    starts = np.linspace(-2, 2, 101)
    many = quiet(heavy_ball.at(gamma=0.9), DoubleWell(), 200, {"eta": [0.01, 0.02]}, left, theta0=starts)
    assert many["value"].between(0.4, 0.7).all()


def test_a_bar_is_shown_when_asked(capsys, monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm, "tqdm", partial(tqdm.tqdm, disable=False))  # the tests switch bars off
    sweep(heavy_ball, F, 3, GRID, final)
    assert "12" in capsys.readouterr().err
    quiet(heavy_ball, F, 3, GRID, final)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {"etta": [0.1], "gamma": [0.9]}}, "did you mean eta"),
        ({"grid": {"eta": [0.1]}}, "leaves gamma open"),
        ({"grid": {}}, "grid is empty"),
        ({"grid": {"eta": [], "gamma": [0.9]}}, "no value of eta"),
        ({"grid": {"eta": [[0.1, 0.2]], "gamma": [0.9]}}, "list of numbers"),
        ({"rule": heavy_ball.at(eta=0.1)}, "eta is in the grid and set"),
        ({"rule": heavy_ball.at(gamma=[0.5, 0.9]), "grid": {"eta": [0.1]}}, "put its values in the grid"),
        ({"rule": "heavy_ball"}, "a name, not a rule"),
        ({"grid": {"eta": range(10**4), "gamma": range(10**4)}}, "one at a time"),
        ({"steps": 10**9, "chunk": 12}, "GiB"),
        ({"steps": 3.0}, "steps is 3.0"),
        ({"chunk": 0}, "chunk is 0"),
        ({"every": 0}, "every is 0"),
        ({"measure": lambda out: out.theta}, "for 12 grid points"),
        ({"measure": {}}, "give a function"),
        ({"problem": F.grad}, "theta0="),
        ({"seeds": []}, "seeds is empty"),
    ],
)
def test_bad_input_gets_one_sentence(change, message):
    arguments = {"rule": heavy_ball, "problem": F, "steps": 20, "grid": GRID, "measure": final} | change
    with pytest.raises((ValueError, RuleError), match=message):
        quiet(**arguments)
