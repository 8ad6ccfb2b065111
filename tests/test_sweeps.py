"""Sweeps: the frame is the loop over the grid, whoever carries it, and says what diverged."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from operator import attrgetter

import numpy as np
import pytest

from momentum_lib import RuleError, heavy_ball, nesterov, run, torch_sgd
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


def test_any_executor_carries_the_same_frame():
    noisy = Noisy(F, 0.1)
    here = quiet(heavy_ball, noisy, 30, GRID, final, seeds=[0, 1], chunk=5)
    with ThreadPoolExecutor(2) as threads:
        assert quiet(heavy_ball, noisy, 30, GRID, final, threads, seeds=[0, 1], chunk=5).equals(here)


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
