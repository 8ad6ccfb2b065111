"""Campaigns: the frame is the trials in their order, whoever carries them, and what is kept stays kept."""

import json
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from momentum_lib import (
    Rule,
    gradient_descent,
    heavy_ball,
    linear_ramp,
    nesterov,
    qhm,
    step_schedule,
    sutskever,
    then,
)
from momentum_lib.learning import (
    Classifier,
    Digits,
    Rows,
    Trial,
    best_eta_of,
    campaigns,
    carry_out,
    measured,
    spread,
    train,
    training,
)

pytest.importorskip("jax", reason="JAX is not installed (extra learning)")

TASK = Classifier(Digits(count=30), (4,), batch=8)
TRIALS = [
    Trial(heavy_ball.at(eta=eta, gamma=0.5), TASK, 4, seed=seed, every=2, label={"gamma": 0.5})
    for eta in (0.1, 0.01)
    for seed in (0, 1)
]
LOST = replace(TRIALS[0], rule=heavy_ball.at(eta=3e38, gamma=0.5))
PARTS = [Rows(Digits(), 0, 100), Rows(Digits(), 100, 300)]
COLUMNS = ["gamma", "eta", "seed", "t", "loss", "error", "diverged_at"]

quiet = partial(carry_out, progress=False)


@pytest.fixture(scope="module")
def here():
    return quiet(TRIALS)


def no_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a training began")

    monkeypatch.setattr(campaigns, "train", refuse)


def test_a_row_is_the_end_of_its_training_in_the_order_of_the_trials(here):
    assert list(here.columns) == COLUMNS
    assert here["eta"].tolist() == [0.1, 0.1, 0.01, 0.01] and here["seed"].tolist() == [0, 1, 0, 1]
    for trial, row in zip(TRIALS, here.itertuples(), strict=True):
        alone = train(trial.rule, TASK, 4, seed=trial.seed, every=2)
        assert (row.t, row.loss, row.error) == (4, alone.loss[-1], alone.error[-1])
        assert row.diverged_at == np.inf and row.gamma == 0.5


@pytest.mark.parametrize(
    "pool",
    [partial(ThreadPoolExecutor, 2), partial(ProcessPoolExecutor, 1, mp_context=get_context("spawn"))],
    ids=["threads", "processes"],
)
def test_any_executor_carries_the_same_frame(pool, here):
    with pool() as executor:
        pd.testing.assert_frame_equal(quiet(TRIALS, executor), here, check_exact=True)


def test_a_training_that_is_lost_with_its_worker_is_carried_again(here, tmp_path):
    class Losing(ThreadPoolExecutor):
        asked = 0

        def submit(self, *arguments):
            self.asked += 1
            return super().submit(*((lose,) if self.asked <= 2 else arguments))

    def lose():
        raise OSError("out of reach")

    with Losing(1) as pool:
        assert quiet(TRIALS, pool, folder=tmp_path).equals(here)
    assert pool.asked == len(TRIALS) + 2 and len(list(tmp_path.iterdir())) == len(TRIALS)


def test_a_pool_that_forks_is_refused_before_it_hangs():
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        with pytest.raises(ValueError, match=r"This pool forks, and a fork of JAX hangs; .*\"spawn\""):
            quiet(TRIALS, pool)
        assert not pool._processes


def test_what_a_notebook_defines_is_told_before_a_pool_breaks_on_it(monkeypatch):
    notebook = ModuleType("__main__")  # without a file, as a kernel's
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    exec("from momentum_lib.learning import Classifier\nclass Mine(Classifier): pass", vars(notebook))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(ValueError, match="on Mine uses what this notebook defines, which"):
            quiet([replace(TRIALS[0], task=notebook.Mine(Digits(count=30), (4,)))], pool)
        with pytest.raises(ValueError, match="cannot reach another process .* in a module"):
            quiet([replace(TRIALS[0], measure={"x": lambda theta: 0.0})], pool)
        assert not pool._processes


def test_what_is_measured_is_a_column_kept_and_part_of_the_trial(tmp_path, monkeypatch):
    some, others = (replace(TRIALS[0], measure={"wrong": partial(TASK.wrong, source=s)}) for s in PARTS)
    frame = quiet([some, others], folder=tmp_path)
    assert list(frame.columns) == [*COLUMNS[:-1], "wrong", "diverged_at"]
    trained = train(some.rule, TASK, 4, seed=0, every=2)
    assert frame["wrong"].tolist() == [float(TASK.wrong(trained.theta, part)) for part in PARTS]
    assert some.settings != others.settings and "measure" not in TRIALS[0].settings
    no_training(monkeypatch)
    pd.testing.assert_frame_equal(quiet([some, others], folder=tmp_path), frame)


def test_the_records_asked_for_are_kept():
    trial = replace(TRIALS[0], at=(0, 2, 4))
    alone = train(trial.rule, TASK, 4, seed=0, every=2)
    frame = quiet([trial])
    assert frame["t"].tolist() == [0, 2, 4] and frame["error"].tolist() == alone.error.tolist()
    with pytest.raises(ValueError, match=r"step 3 is not recorded; the records stand at \[0, 2, 4\]"):
        quiet([replace(trial, at=(2, 3))])


def test_a_training_that_ended_early_fills_the_records_after_its_end():
    met = quiet([replace(TRIALS[0], target=1e9, at=(2, 4))])
    assert met["error"].nunique() == 1 and met["t"].tolist() == [2, 4]
    lost = quiet([replace(LOST, at=(0, 2, 4))])
    assert np.isfinite(lost["error"][0]) and lost["error"].tolist()[1:] == [np.inf, np.inf]


def test_a_grid_has_the_rows_of_its_cells_and_is_a_result_of_its_own(tmp_path, monkeypatch):
    some = {"task": TASK, "steps": 8, "every": 2, "at": (0, 4, 8), "target": 2.2, "label": {"set": "a"}}
    etas, gammas = (0.1, 3e38), (0.5, 0.9)
    alone = [
        Trial(
            heavy_ball.at(eta=eta, gamma=gamma), seed=seed, **some | {"label": {"set": "a", "gamma": gamma}}
        )
        for eta in etas
        for seed, gamma in enumerate(gammas)
    ]
    grid = Trial(heavy_ball.at(eta=[[eta] for eta in etas], gamma=gammas), seed=range(2), **some)
    one_by_one, at_once = quiet(alone, folder=tmp_path), quiet(grid, folder=tmp_path)
    pd.testing.assert_frame_equal(at_once[one_by_one.columns], one_by_one, rtol=1e-5)
    assert one_by_one["error"].duplicated().any()  # a target was met, and ended its cell
    assert (
        at_once.columns[:4].tolist() == ["set", "eta", "gamma", "seed"] and len(list(tmp_path.iterdir())) == 5
    )
    no_training(monkeypatch)
    assert quiet([grid], folder=tmp_path).equals(at_once)


def test_a_diverged_trial_is_a_row_and_is_counted():
    frame = quiet([*TRIALS, LOST])
    row = frame.iloc[-1]
    assert row["error"] == np.inf and 1 <= row["diverged_at"] <= 4
    table = spread(frame, ["gamma", "eta"])
    assert table["diverged"].tolist() == [0, 0, 1] and table["seeds"].tolist() == [2, 2, 1]
    errors = frame["error"][:2].tolist()
    cell = table.loc[(0.5, 0.1)]
    assert cell["median"] == pytest.approx(np.mean(errors))
    assert (cell["least"], cell["largest"]) == (min(errors), max(errors))


def test_the_step_size_has_a_column_whatever_its_letter_and_a_schedule_has_none():
    rules = [heavy_ball.at(eta=linear_ramp(0.1, 0.2, 2), gamma=0.5), qhm.at(alpha=0.1, beta=0.5, nu=0.7)]
    ramp, other = (quiet([replace(TRIALS[0], rule=rule)]) for rule in rules)
    assert list(ramp.columns) == ["gamma", "seed", "t", "loss", "error", "diverged_at"]
    assert list(other.columns) == COLUMNS and other["eta"].tolist() == [0.1]


def test_a_function_is_told_how_far_it_is():
    told = []
    carry_out(TRIALS[:3], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_bar_is_shown_when_asked(capsys, monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm, "tqdm", partial(tqdm.tqdm, disable=False))  # the tests switch bars off
    carry_out(TRIALS)
    assert "0/4" in capsys.readouterr().err
    quiet(TRIALS)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: quiet([]), "no trial to carry out; give at least one"),
        (lambda: quiet([heavy_ball]), r"heavy_ball is no trial; give Trial\(rule, task, steps"),
        (lambda: measured("two", [TRIALS[0], 3]), "3 is no trial; give Trial"),
        (lambda: replace(TRIALS[0], label={"error": "mine"}), "names a column 'error', which is another's"),
        (lambda: replace(TRIALS[0], measure={"gamma": TASK.wrong}), "names a column 'gamma', which is"),
    ],
)
def test_what_is_no_campaign_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()


# --- What is kept -----------------------------------------------------------------------------------


def test_what_is_in_the_folder_is_not_trained_again(here, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "trainings"
    quiet(TRIALS[:3], folder=folder)
    assert len(list(folder.iterdir())) == 3
    assert quiet([*TRIALS, LOST], folder=str(folder)).iloc[:4].equals(here)  # goes on
    no_training(monkeypatch)
    again = quiet([LOST, *TRIALS], folder=folder)
    assert again.iloc[1:].reset_index(drop=True).equals(here) and again["error"][0] == np.inf


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"steps": 6},
        {"every": 1},
        {"target": 0.1},
        {"at": (0, 4)},
        {"rule": gradient_descent.at(eta=0.1)},
        {"rule": heavy_ball.at(eta=0.1, gamma=0.51)},
        {"task": replace(TASK, squared=True)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_trial_with_another_setting_is_another_training(change, tmp_path, monkeypatch):
    quiet(TRIALS[:1], folder=tmp_path)
    no_training(monkeypatch)
    quiet([replace(TRIALS[0], label={"called": "otherwise"})], folder=tmp_path)
    with pytest.raises(AssertionError, match="a training began"):
        quiet([replace(TRIALS[0], **change)], folder=tmp_path)


def test_a_result_of_other_code_is_trained_again(tmp_path, monkeypatch):
    quiet(TRIALS[:1], folder=tmp_path)
    code = campaigns._code()
    no_training(monkeypatch)
    monkeypatch.setattr(campaigns, "_code", lambda: [*code[:-1], "edited"])
    with pytest.raises(AssertionError, match="a training began"):
        quiet(TRIALS[:1], folder=tmp_path)


@pytest.mark.parametrize("content", ["", "[{", "[]", "3", '[{"t": 4}]', "null"])
def test_a_kept_file_that_is_broken_is_named_set_aside_and_done_again(content, here, tmp_path):
    quiet(TRIALS, folder=tmp_path)
    broken = sorted(tmp_path.iterdir())[1]
    broken.write_text(content)
    with pytest.warns(UserWarning, match=f"{broken.name} was broken: set aside as {broken.stem}.broken"):
        assert quiet(TRIALS, folder=tmp_path).equals(here)
    assert broken.with_suffix(".broken").read_text() == content and len(list(tmp_path.iterdir())) == 5


def test_a_pool_is_not_asked_for_what_is_kept(here, tmp_path):
    quiet(TRIALS, folder=tmp_path)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert quiet(TRIALS, pool, folder=tmp_path).equals(here)
        assert not pool._processes


def test_a_kill_while_writing_leaves_no_half_result(here, tmp_path, monkeypatch):
    def killed(path, content):
        path.write_text("half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_bytes", killed)
        quiet(TRIALS, folder=tmp_path)
    assert quiet(TRIALS, folder=tmp_path).equals(here)


def test_settings_are_told_as_they_were_when_the_committed_results_were_made():
    """The first line of each file in notebooks/results is a digest of this; another telling unmakes them."""
    ramp = step_schedule([0.9, 0.98], [60])
    trial = Trial(nesterov.at(eta=2, gamma=ramp), TASK, 4, 1, 2, label={"a": 1}, at=(2, 4))
    source = {"kind": "Digits", "count": 30, "shuffled_labels": None}
    assert json.loads(json.dumps(trial.settings)) == {
        "rule": "nesterov",
        "task": {"kind": "Classifier", "source": source, "widths": [4], "batch": 8, "squared": False},
        **{"steps": 4, "seed": 1, "every": 2, "target": None, "at": [2, 4]},
        **{"eta": 2, "gamma": "step_schedule(values=[0.9, 0.98], boundaries=[60])"},
    }
    assert isinstance(trial.settings["eta"], int)  # 2 and 2.0 are not one text
    told = "then(first=sutskever(gamma_max=0.99, period=3), steps=7500, second=0.9)"
    assert training.describe(then(sutskever(0.99, 3), 7500, 0.9)) == told


def test_a_letter_that_bears_the_name_of_another_setting_is_told_beside_it():
    def step(theta, grad, *, steps, at):
        return (theta - steps * at * grad(theta),)

    own = Rule(step, name="own")
    told = [Trial(own.at(steps=a, at=b), TASK, c).settings for a, b, c in [(2, 1, 4), (4, 1, 4), (4, 1, 2)]]
    assert told[0]["letter steps"] == 2 and told[0]["steps"] == 4 and told[0]["at"] is None
    assert told[0] != told[1] != told[2]


# --- From trials to a table -------------------------------------------------------------------------


def frame_of(errors):
    """One row a rule, eta and seed, from the errors of the seeds by eta by rule."""
    rows = [
        {"rule": rule, "eta": eta, "seed": seed, "error": error}
        for rule, by_eta in errors.items()
        for eta, column in by_eta.items()
        for seed, error in enumerate(column)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("errors", "eta", "edge"),
    [
        (
            {0.1: [3.0, 3.0], 0.2: [1.0, 4.0], 0.4: [0.0, 9.0]},
            0.2,
            False,
        ),  # the least mean, not the least seed
        ({0.1: [1.0, 2.0], 0.2: [2.0, 2.0]}, 0.1, True),
        ({0.1: [2.0], 0.2: [2.0], 0.4: [1.0]}, 0.4, True),
        ({0.1: [9.0, 9.0], 0.2: [8.0, 8.0], 0.4: [0.0, np.inf]}, 0.2, False),  # a seed diverged
        ({0.1: [9.0, 9.0], 0.2: [np.inf, 0.0]}, 0.1, True),
        ({0.1: [np.nan, 0.5], 0.2: [1.0, 1.0]}, 0.2, True),
        ({0.1: [np.inf, 1.0], 0.2: [1.0, np.inf]}, 0.1, True),  # nothing else is left
    ],
)
def test_the_best_eta_of_a_cell_has_the_least_mean_error_and_its_edge_is_told(errors, eta, edge):
    other = {0.3: [7.0, 7.0], 0.5: [8.0, 8.0]}  # another cell changes nothing
    best = best_eta_of(frame_of({"a": errors, "b": other}), ["rule"])
    a, b = (best[best["rule"] == rule] for rule in "ab")
    assert (a["eta"] == eta).all() and (a["edge"] == edge).all() and (b["eta"] == 0.3).all()
    np.testing.assert_array_equal(a["error"], errors[eta])
    assert a["seed"].tolist() == list(range(len(a)))
    assert best.equals(best_eta_of(frame_of({"a": errors, "b": other}), "rule"))


# --- Campaigns that take hours ----------------------------------------------------------------------


@pytest.fixture
def collection(tmp_path, monkeypatch):
    """A collection of its own, whose long campaigns are carried by a thread."""
    monkeypatch.setattr(campaigns, "find_root", lambda: tmp_path)
    monkeypatch.setattr(campaigns, "ProcessPoolExecutor", lambda *args, **kwargs: ThreadPoolExecutor(1))
    monkeypatch.delenv("MOMENTUM_RESULTS", raising=False)
    return tmp_path


def test_a_measured_campaign_is_read_as_it_was_written(collection, here, monkeypatch):
    with pytest.raises(ValueError, match="There is no notebooks/results/four.csv; run `momentum rep"):
        measured("four", TRIALS)
    with monkeypatch.context() as patch:
        patch.setenv("MOMENTUM_FULL", "1")
        written = measured("four", [*TRIALS, LOST])
    no_training(monkeypatch)
    read = measured("four", [*TRIALS, LOST])
    pd.testing.assert_frame_equal(read, written)
    pd.testing.assert_frame_equal(read[:4], here, rtol=1e-5, check_dtype=False)
    assert read["error"][4] == np.inf and read["diverged_at"][0] == np.inf


@pytest.mark.parametrize("content", ["", "gamma,eta\n", "# {}\n"])
def test_a_committed_result_that_is_broken_is_named(content, collection):
    file = collection / "notebooks" / "results" / "two.csv"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(ValueError, match="two.csv is broken; take the committed one, or run `momentum rep"):
        measured("two", TRIALS[:2])


def test_a_measured_campaign_of_other_trials_is_refused(collection, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("MOMENTUM_FULL", "1")
        measured("two", TRIALS[:2])
    for others in [TRIALS[:1], TRIALS[1::-1], [TRIALS[0], replace(TRIALS[1], seed=5)]]:
        with pytest.raises(ValueError, match="two.csv was made from other trials than these; take .* back"):
            measured("two", others)
