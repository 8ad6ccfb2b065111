"""The views, given what a student gives them: own letters, several rules, axes, mistakes."""

import warnings
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from momentum_lib import (
    RULES,
    Beale,
    Himmelblau,
    Noisy,
    Quadratic,
    Rule,
    adam,
    closed_form,
    damping,
    gradient_descent,
    heavy_ball,
    pid,
    run,
    settling_time,
    spectral_radius,
    stability_limit,
    stationary_covariance,
    tune,
    worst_rate,
)
from momentum_lib.plots.canvas import looks_of, rules_of
from momentum_lib.plots.curves import (
    plot_eigenvalues,
    plot_noise_floor,
    plot_response,
    plot_training,
    plot_worst_case,
)
from momentum_lib.plots.maps import plot_atlas, plot_damping, plot_rate, plot_region, plot_times
from momentum_lib.plots.paths import plot_error, plot_motion, plot_path


def mine(theta, m, grad, *, lr, mu):
    m = mu * m + grad(theta)
    return theta - lr * m, m


mine = Rule(mine)
AT = mine.at(lr=1.0, mu=0.5)
ON_A_GRID = SimpleNamespace(rule=AT.at(lr=np.ones(2)), t=np.zeros(1), error=np.ones((1, 2)))
TWIN = heavy_ball.at(eta=1.0, gamma=0.5)  # the same steps
BOWL = Quadratic([0.1, 1.0])
GRID = {"across": [0.1, 1.0, 2.0], "up": [0.1, 0.5, 0.9]}

CURVES = {
    "path": lambda rules, **more: plot_path(rules, BOWL, [2.0, 1.0], 20, **more),
    "error": lambda rules, **more: plot_error(rules, BOWL, [2.0, 1.0], 20, **more),
    "motion": lambda rules, **more: plot_motion(rules, 0.5, 20, **more),
    "eigenvalues": lambda rules, **more: plot_eigenvalues(rules, [0.1, 1.0], **more),
    "worst case": lambda rules, **more: plot_worst_case(rules, 0.1, 1.0, **more),
    "noise floor": lambda rules, **more: plot_noise_floor(rules, steps=[0.1, 0.5], **more),
    "response": lambda rules, **more: plot_response(rules, **more),
}
MAPS = {
    "atlas": lambda rule, **more: plot_atlas(rule, steps=5, **GRID | more),
    "region": lambda rule, **more: plot_region(rule, **GRID | more),
    "rate": lambda rule, **more: plot_rate(rule, 0.1, 1.0, optimum=False, **GRID | more),
    "times": lambda rule, **more: plot_times(rule, [0.1, 1.0], cap=200, **GRID | more),
    "damping": lambda rule, **more: plot_damping(rule, **GRID | more),
}
VIEWS = CURVES | MAPS
curves = pytest.mark.parametrize("view", CURVES.values(), ids=CURVES)
maps = pytest.mark.parametrize("view", MAPS.values(), ids=MAPS)
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn(picture):
    """The picture, drawn to its last letter: a label that cannot be set shows here."""
    picture.fig.canvas.draw()
    return picture


# --- what is shown -----------------------------------------------------------------------------------


@views
def test_a_students_letters_give_the_numbers_of_the_same_rule_in_ours(view):
    own, ours = drawn(view(AT)).data, drawn(view(TWIN)).data
    assert len(own) == len(ours)
    for mine_, theirs in zip(own.values(), ours.values(), strict=True):
        if np.asarray(theirs).dtype.kind == "f":
            np.testing.assert_allclose(mine_, theirs, atol=1e-12)
        else:
            assert np.array_equal(mine_, theirs)


def test_each_view_shows_what_the_analysis_says():
    h, up = np.array(GRID["across"]), np.array(GRID["up"])
    cells = mine.at(lr=h, mu=up[:, None])
    path = run(AT, BOWL.grad, [2.0, 1.0], 20).theta
    rate = float(worst_rate(AT, 0.1, 1.0))
    shown = {name: view(AT).data for name, view in VIEWS.items()}
    for got, expected in [
        (shown["path"]["mine"], path),
        (shown["error"]["mine"], np.linalg.norm(path, axis=1)),
        (shown["error"]["mine, rate"], 5**0.5 * rate ** np.arange(21)),
        (shown["motion"]["mine"], closed_form(AT, Quadratic([0.5]), [1.0], 20)[:, 0]),
        (shown["worst case"]["mine"], spectral_radius(AT, shown["worst case"]["lam"])),
        (shown["region"]["limit"], stability_limit(mine.at(mu=up))),
        (shown["rate"]["rate"], worst_rate(cells, 0.1, 1.0)),
        (shown["times"]["steps"], settling_time(cells, [0.1, 1.0], 1.0, 1e-6, 200)),
        (shown["damping"]["ratio"], damping(cells, 1.0).ratio),
        (
            shown["noise floor"]["mine, floor"],
            np.sqrt(stationary_covariance(mine.at(lr=np.array([0.1, 0.5]), mu=0.5), 1.0, 1.0)[:, 0, 0]),
        ),
    ]:  # fmt: skip
        np.testing.assert_allclose(got, expected, atol=1e-10)
    envelope, theta = shown["motion"]["mine, envelope"], np.abs(shown["motion"]["mine"])
    assert (theta <= envelope + 1e-12).all() and np.isclose(theta, envelope).any()
    assert shown["atlas"]["region"].tolist()[1] == ["swings", "swings", "swings"]


@curves
def test_several_rules_and_several_settings_are_told_apart(view):
    for rules, labels in [
        ([AT, TWIN], ["mine", "heavy_ball"]),
        ({"a": AT, "b": AT.at(mu=0.9)}, ["a", "b"]),
        ([AT, AT.at(mu=0.9)], ["mine(lr=1, mu=0.5)", "mine(lr=1, mu=0.9)"]),
        ((rule for rule in (AT, AT)), ["mine(lr=1, mu=0.5) (1)", "mine(lr=1, mu=0.5) (2)"]),
    ]:
        data = drawn(view(rules)).data
        assert all(any(name.startswith(label) for name in data) for label in labels), labels


def test_a_name_that_comes_again_has_another_look():
    looks = looks_of(rules_of({letter: AT for letter in "abcde"})).values()
    told = {(to_hex(look["color"]), str(look["linestyle"]), look["marker"]) for look in looks}
    assert len(told) == 5


@views
def test_it_draws_into_the_axes_given(view):
    fig, ax = plt.subplots()
    picture = view(AT, ax=ax)
    assert (picture.fig, picture.ax) == (fig, ax) and ax.get_xlabel() and ax.get_ylabel() and picture.caption
    assert view(AT).ax is not ax


@maps
def test_a_map_spreads_what_is_open_or_the_momentum(view):
    names = list(view(mine).data)
    assert names == list(view(AT).data) == list(view(mine.at(mu=0.5)).data)


def test_the_star_of_a_rate_map_is_the_best_setting():
    star = plot_rate(mine, 0.1, 1, **GRID).data["optimum"]
    best = tune(heavy_ball, 0.1, 1)
    np.testing.assert_allclose(star, [*best.setting.values(), best.rate], rtol=1e-6)


# --- a function of one's own -------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [8, "log", [0.1, 1.0, 1.0, 5.0]], ids=str)
def test_a_plain_function_is_enough(levels):
    picture = drawn(plot_path(AT.at(lr=0.1), lambda x: x @ x / 2, [2.0, 1.0], 30, levels=levels))
    np.testing.assert_allclose(picture.data["mine"][1], [1.8, 0.9])
    left, right = picture.ax.get_xlim()
    assert left < 0 < 2 < right < 4  # what the path is about, not a dot around the start


def test_own_functions_that_end_or_run_away_are_framed():
    edge = drawn(plot_path(AT.at(lr=0.05), lambda x: np.log(x[0]) ** 2 + x[1] ** 2, [2.0, 1.0], 60))
    assert np.isfinite(edge.data["mine"]).all()
    away = drawn(plot_path(AT.at(lr=9.0), lambda x: x @ x, [2.0, 1.0], 400))
    assert "diverged at step" in away.ax.get_legend().get_texts()[0].get_text()
    assert np.ptp(away.ax.get_xlim()) < 50


def test_every_minimizer_is_marked():
    lines = plot_path(AT.at(lr=0.005), Himmelblau(), [0, 0], 9).ax.lines
    assert [len(line.get_xdata()) for line in lines if line.get_marker() == "+"] == [4]


def test_look_ahead_points_are_crosses_and_oracles_are_descended():
    ax = plot_path(RULES["nesterov"].at(eta=0.1, gamma=0.9), BOWL, [2, 1], 9, look_ahead=True).ax
    assert sum(line.get_marker() == "x" for line in ax.lines) == 1
    noisy = plot_path(AT.at(lr=0.1), Noisy(BOWL, 0.1), [2, 1], 9, rng=0).data["mine"]
    assert not np.allclose(noisy, plot_path(AT.at(lr=0.1), BOWL, [2, 1], 9).data["mine"])
    drawn(plot_path(AT.at(lr=0.005), Beale(), [1, 1], 50, levels="log"))


# --- what diverges, and what is not linear -----------------------------------------------------------


@curves
def test_a_diverging_rule_is_drawn_beside_one_that_arrives(view):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn(view([AT.at(lr=99.0), AT]))


@pytest.mark.parametrize(
    "view",
    [
        lambda rules: plot_path(rules, BOWL, [2, 1], 2000),
        lambda rules: plot_error(rules, BOWL, [2, 1], 2000),
        lambda rules: plot_motion(rules, 1.0, 2000),
        lambda rules: plot_worst_case(rules, 0.1, 1),
        lambda rules: plot_worst_case(rules, 0.1, 1, steps=2000),
    ],
    ids=["path", "error", "motion", "worst case", "left after steps"],
)
def test_divergence_is_said(view):
    ax = drawn(view({"far": AT.at(lr=90.0)})).ax
    texts = [*ax.texts, *(ax.get_legend().get_texts() if ax.get_legend() else ())]
    assert any("diverge" in text.get_text() for text in texts)


def test_what_is_level_but_for_rounding_has_an_axis_of_its_own():
    picture = drawn(plot_worst_case(tune(heavy_ball, 0.01, 1), 0.01, 1))
    assert 0 < np.ptp(picture.data["heavy_ball"]) < 1e-9 < 0.05 < np.ptp(picture.ax.get_ylim())


def test_curves_that_end_alike_are_named_one_below_the_other():
    picture = drawn(plot_worst_case({name: tune(heavy_ball, 0.01, 1) for name in "abc"}, 0.01, 1))
    assert len({text.get_window_extent().y0.round() for text in picture.ax.texts}) == 3


def test_an_unstable_map_is_hatched_whole():
    far = {"across": [50.0, 60.0], "up": [0.1, 0.5]}
    for view in (plot_atlas, plot_region, plot_rate):
        data = drawn(view(mine, **far)).data
        assert set(np.ravel(data.get("region", "diverges"))) == {"diverges"}
    assert np.isinf(plot_times(mine, [0.1, 1], cap=50, **far).data["steps"]).all()


def test_the_error_of_a_rule_that_is_not_linear_has_no_rate():
    data = drawn(plot_error([adam.at(eta=0.1), AT], BOWL, [2.0, 1.0], 30)).data
    assert "adam" in data and "adam, rate" not in data and "mine, rate" in data


def on_a_grid(seeds):
    seeds = list(seeds)
    return SimpleNamespace(rule=AT, t=seeds[0].t, error=np.stack([made.error for made in seeds], axis=-1))


@pytest.mark.parametrize("kind", [list, tuple, on_a_grid])
def test_several_seeds_of_a_training_are_one_line_of_a_frame_or_a_list(kind):
    errors = {0: [1.0, 0.5, np.inf], 1: [1.0, np.inf, np.inf]}  # the median is finite at the start alone
    made = kind(SimpleNamespace(rule=AT, t=np.arange(3), error=np.array(e)) for e in errors.values())
    rows = [("a", t, seed, error[t]) for seed, error in errors.items() for t in range(3)]
    frame = pd.DataFrame(rows, columns=["label", "t", "seed", "error"])
    for trainings in ({"a": made}, frame):
        picture = drawn(plot_training(trainings))
        np.testing.assert_array_equal(picture.data["a"].T, [[1.0, 0.5, np.nan], [1.0, np.nan, np.nan]])
        assert picture.ax.lines[0].get_xydata().tolist() == [[0.0, 1.0]]


# --- mistakes get a sentence -------------------------------------------------------------------------


@views
@pytest.mark.parametrize(
    "wrong, message",
    [
        (3, "3 is not a rule"),
        ("mine", r'take RULES\["mine"\]'),
        (lambda theta: theta, "is not a rule; decorate"),
        ([], "no rule to draw|one rule, and got 0"),
        ({}, "no rule to draw|one rule, and got 0"),
    ],
    ids=["number", "text", "function", "empty list", "empty mapping"],
)
def test_what_is_no_rule_is_refused(view, wrong, message):
    with pytest.raises(ValueError, match=message):
        view(wrong)


@views
@pytest.mark.parametrize("axes", ["two", 3, "ax"], ids=str)
def test_axes_that_are_not_one_are_refused(view, axes):
    given = plt.subplots(1, 2)[1] if axes == "two" else axes
    with pytest.raises(ValueError, match=r"ax is (2 axes|int|str), and this view draws into one"):
        view(AT, ax=given)


@curves
@pytest.mark.parametrize("open_", [mine, pid], ids=str)
def test_an_open_letter_is_named(view, open_):
    with pytest.raises(ValueError, match=r"leaves .* open|has k_p and k_i and k_d"):
        view(open_)


@curves
def test_a_whole_grid_is_no_curve(view):
    with pytest.raises(ValueError, match=r"holds mu at several values, and a curve is at one"):
        view(AT.at(mu=[0.1, 0.2]))


@maps
@pytest.mark.parametrize(
    "wrong, message",
    [
        ([AT, TWIN], "a map is of one rule, and got 2"),
        (pid, "a map needs one step size and pid has k_p and k_i and k_d"),
        (gradient_descent, "has no momentum to spread; draw its error or its path"),
        (RULES["qhm"], "leaves beta, nu open; leave one open and set the others"),
        (RULES["accsgd"].at(delta=1, kappa=2, xi=1), "has kappa, xi; leave one open"),
        (adam.at(eta=0.1, beta2=0.9), "not linear|leave one open"),
    ],
    ids=["several", "three steps", "no momentum", "two open", "two momenta", "not linear"],
)
def test_a_rule_that_is_no_plane_is_told_why(view, wrong, message):
    with pytest.raises(ValueError, match=message):
        view(wrong)


@maps
@pytest.mark.parametrize("side", ["across", "up"])
@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan], [1.0, 0.5], "ab", 1.0, [[0.1, 0.2]]], ids=str)
def test_columns_and_rows_are_rising_numbers(view, side, values):
    with pytest.raises(ValueError, match=f"{side} is .*; give at least two numbers, each above the last"):
        view(mine, **{side: values})


def path(f=lambda x: x @ x, start=(2.0, 1.0), **more):
    return plot_path(AT.at(lr=0.1), f, start, 9, **more)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: path(lambda x: np.nan * x.sum()), "f is nan at the point"),
        (lambda: path(lambda x: 1 / 0), "f fails at the point"),
        (lambda: path(lambda x: 1.0), "f is the same all over the map"),
        (lambda: path(3), "3 is no problem and no function"),
        (lambda: path(Quadratic([1.0, 1, 1]), [1, 1, 1]), "has 3 coordinates, and a path is drawn over two"),
        (lambda: path(start=[1, 2, 3]), "theta0 is .* give 2 numbers"),
        (lambda: path(start="ab"), "theta0 is 'ab'; give a number"),
        (lambda: path(start=[np.nan, 1]), "theta0 contains nan"),
        (lambda: path(levels=[1e9]), "no level shows: f rises"),
        (lambda: path(levels=[-1]), "no level shows"),
        (lambda: path(levels=[]), "levels is empty; give a count"),
        (lambda: path(levels=0), "levels is 0; give a whole number"),
        (lambda: path(levels=2.5), "levels is 2.5"),
        (lambda: path(BOWL, xlim=(1, 1)), "xlim is .*each above the last"),
        (lambda: path(BOWL, ylim=3), "ylim is 3"),
        (lambda: path(BOWL, ylim=(2, -2)), "ylim is"),
        (lambda: plot_path(AT, BOWL, [1, 1], 2.5), "steps is 2.5"),
        (lambda: plot_error(AT, lambda x: x @ x, [1, 1], 9), "no minimizer of .* is known"),
        (lambda: plot_error(AT, BOWL, [0, 0], 9), "is the minimizer, and no error shows"),
        (lambda: plot_error(AT, BOWL, [1, 1], 9, of="loss"), "of is 'loss'"),
        (lambda: plot_motion(AT, [1.0, 2.0]), r"lam is \[1.0, 2.0\]; give one finite number"),
        (lambda: plot_motion(adam.at(eta=0.1)), "not linear"),
        (lambda: plot_motion(AT.at(lr=lambda t: 1 / t)), "is a schedule"),
        (lambda: plot_eigenvalues(AT, []), "lam is empty"),
        (lambda: plot_worst_case(AT, 2, 1), "0 < mu <= L"),
        (lambda: plot_worst_case(AT, "a", 1), "mu is 'a'; give one finite number"),
        (lambda: plot_noise_floor(AT, steps=[50.0]), "unstable at every step size given"),
        (lambda: plot_noise_floor(AT, lam=0), "lam is 0; give one finite number above 0"),
        (lambda: plot_noise_floor(AT, sigma=0), "sigma is 0"),
        (lambda: plot_response(AT, "w"), "no slot 'w'"),
        (lambda: plot_damping(mine, "roots"), "damping has no 'roots'; take one of ratio"),
        (lambda: plot_damping(mine, across=[50, 60], up=[0.1, 0.5]), "no finite ratio on this map"),
        (lambda: plot_times(mine, []), "eigenvalues has shape"),
        (lambda: plot_rate(mine, 2, 1), "0 < mu <= L"),
        (lambda: plot_atlas(mine, steps=1), "steps is 1"),
        (lambda: plot_training({}), "no training to draw in {}"),
        (lambda: plot_training({"a": ON_A_GRID}), "a holds several settings"),
        (lambda: plot_training({"a": 3}), "a is 3 without error"),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
