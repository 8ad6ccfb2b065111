"""The explorer without a browser: what a rule is printed as, what is refused and how, what a page holds."""

import html
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from momentum_lib import (
    NONLINEAR,
    RULES,
    Rule,
    RuleError,
    adam,
    aggregated,
    explore,
    gradient_descent,
    gradient_restart,
    heavy_ball,
    nesterov,
    nesterov_simple,
    qhm,
    torch_sgd,
)
from momentum_lib.collection import Execution
from momentum_lib.explorer.tape import Unprintable, generator_of

FOLDER = Path(sys.modules["momentum_lib.explorer"].__file__).parent


def printed(step, fixed=()):
    """The statements that a step becomes, one a line."""
    made = generator_of(Rule(step), step, dict(fixed))
    return [line.strip() for line in made.splitlines()[1:-1]]


# --- the tape ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression, text",
    [
        (lambda x: x - (x - 1), "s0 - (s0 - 1)"),
        (lambda x: (x - 2) - x, "s0 - 2 - s0"),
        (lambda x: x / (x * 2), "s0 / (s0 * 2)"),
        (lambda x: -(x**3), "-(s0 ** 3)"),
        (lambda x: (-x) ** 3, "(-s0) ** 3"),
        (lambda x: x**2, "s0 * s0"),
        (lambda x: x**0.5, "Math.sqrt(s0)"),
        (lambda x: 1 - (-2.5), "3.5"),
        (lambda x: x * -2.5, "s0 * -2.5"),
        (lambda x: np.where(x > 0, x, 0), "(s0 > 0 ? s0 : 0)"),
        (lambda x: np.clip(x, -1, 1), "Math.min(Math.max(s0, -1), 1)"),
        (lambda x: np.sign(x) * abs(x), "Math.sign(s0) * Math.abs(s0)"),
        (lambda x: ((x > 0) & (x < 1)) * x, "!!(s0 > 0 && s0 < 1) * s0"),
        (lambda x: x // 2, "Math.floor(s0 / 2)"),
        (lambda x: np.float64(0.1) * x, "0.1 * s0"),
        (lambda x: x + np.inf, "s0 + Infinity"),
    ],
)
def test_an_operation_is_printed_as_it_was_written(expression, text):
    def step(theta, grad, *, eta):
        return (expression(theta) - grad(theta),)

    assert printed(step)[-1] == f"return [{text} - g0];"


def test_each_gradient_is_a_yield_and_what_is_used_twice_has_a_name():
    def twice(theta, v, grad, *, eta):
        v = v + eta * grad(theta)
        return theta - eta * grad(theta - v) - v, v

    assert printed(twice) == [
        "const g0 = yield s0;",
        "const a = s1 + p0 * g0;",
        "const g1 = yield s0 - a;",
        "return [s0 - p0 * g1 - a, a];",
    ]


def branches(theta, v, grad, *, eta, gamma):
    g = grad(theta)
    if g > 0:
        v = v + g
    return theta - eta * v, v


def has_a_norm(theta, grad, *, eta):
    g = grad(theta)
    return (theta - eta * g / np.linalg.norm(g),)


REFUSED = [
    (branches, "Line 3 of branches, `if g > 0:`, branches on a value; np.where"),
    (has_a_norm, "Line 3 of has_a_norm, .* several coordinates at once; .* plot_path"),
    (lambda theta, grad, *, eta: theta - eta * max(grad(theta), 0), r"Line 1 .*max\(.*branches on a value"),
    (lambda theta, grad, *, eta: theta - eta * (grad(theta) + 1).sum(), "several coordinates at once"),
    (lambda theta, grad, *, eta: theta - eta * (np.eye(2) @ grad(theta)), "several coordinates at once"),
    (lambda theta, grad, *, eta: theta - eta * grad(theta)[0], "several coordinates at once"),
    (lambda theta, grad, *, eta: theta - math.sqrt(grad(theta) ** 2), "wants a number .* np.sqrt for math"),
    (lambda theta, grad, *, eta: theta - eta * np.spacing(grad(theta)), "calls np.spacing"),
    (lambda theta, grad, *, eta: theta - eta * grad(theta) * np.ones(2), r"array of shape \(2,\)"),
]


@pytest.mark.parametrize("step, sentence", REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_is_no_formula_of_one_coordinate_is_told_with_its_line_and_shown_as_recorded(step, sentence):
    with pytest.raises(Unprintable, match=f"(?i){sentence}"):
        generator_of(Rule(step), step, {})
    told = part(explore(Rule(step).at(eta=0.1)))
    assert re.search(sentence, told["notes"][0]) and len(told["recorded"]) == 41


def test_a_rule_that_couples_coordinates_is_shown_as_it_runs():
    told = part(explore(gradient_restart.at(eta=1.0)))
    assert re.search(r"Line \d of _\w+, `.*`, looks at several coordinates at once", told["notes"][0])
    assert len(told["recorded"]) == 41 and told["recorded"][0] == [2, 1] and told["letters"] == []


# --- the page ----------------------------------------------------------------------------------------


def part(page, number=0):
    return page._spec["rules"][number]


def dials(page):
    return page._spec["dials"]


PAIRS = [(heavy_ball, nesterov), (gradient_descent, qhm)]


@pytest.mark.parametrize("rules", [*RULES.values(), *NONLINEAR.values(), *PAIRS], ids=str)
def test_a_page_of_one_rule_or_two_is_smaller_than_20_kb(rules):
    assert len(explore(rules).html.encode()) < 20_000


def test_no_rule_is_named_in_the_javascript():
    words = set(re.findall(r"\w+", (FOLDER / "explorer.js").read_text(encoding="utf-8").lower()))
    assert not words & {*RULES, *NONLINEAR, "gamma", "eta", "velocity"}


def test_a_page_is_one_file_that_asks_for_nothing(tmp_path):
    path = explore(heavy_ball).save(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert not re.search(r"\b(src|href|import|fetch|url)\b\s*[=(]|@import|https?:", text)
    assert "default-src 'none'" in text


def test_the_first_state_swings():
    page = explore(heavy_ball)
    assert page._spec["state"] | {"eta": 0.8, "gamma": 0.8, "a": 0.05, "b": 1.0} == page._spec["state"]
    assert part(page)["best"]["gamma"] == pytest.approx(((20**0.5 - 1) / (20**0.5 + 1)) ** 2)


def test_a_letter_that_is_set_begins_there_and_one_left_open_is_shared():
    page = explore([heavy_ball.at(gamma=0.5), nesterov.at(gamma=0.6)])
    assert [part(page, k)["letters"] for k in (0, 1)] == [["eta", "gamma"], ["eta", "gamma_"]]
    assert page._spec["state"]["gamma_"] == 0.6
    assert dials(page)["eta"][2][1] == pytest.approx(1.05 * 4, rel=0.02)  # heavy ball's, the wider


def test_spans_are_computed_given_or_a_guess_that_is_told():
    page = explore(qhm)
    assert dials(page)["beta"][1:] == ["memory", [0, 0.999]]
    assert "nu may go is a guess" in part(page)["notes"][-1]
    page = explore(qhm, spans={"nu": (-1, 2)})
    assert dials(page)["nu"][2] == [-1, 2] and part(page)["notes"] == []


def test_what_the_page_does_not_show_is_told():
    assert "as t → ∞" in part(explore(RULES["bias_corrected"]))["notes"][0]
    assert "first step is its own" in part(explore(torch_sgd))["notes"][0]
    assert "not linear" in part(explore(adam))["notes"][0] and not part(explore(adam))["linear"]


def test_a_schedule_is_refused_or_frozen():
    scheduled = nesterov.at(eta=0.5, gamma=nesterov_simple())
    with pytest.raises(RuleError, match=r"gamma of nesterov\(.*\) is a schedule.*\.at\(t=\.\.\.\)"):
        explore(scheduled)
    told = part(explore(scheduled.at(t=7)))
    assert told["letters"] == ["eta"] and "Frozen at t = 7" in told["notes"][0]
    assert f"{nesterov_simple()(7)} * s1" in told["body"]


def test_what_was_typed_cannot_leave_its_place():
    def step(theta, grad, *, eta):
        return (theta - eta * grad(theta),)  # </script><script>alert(1)</script>

    text = explore({"</title><b>": Rule(step)}).html
    assert text.count("</script") == 1 and "<b>" not in text.split("<script")[0]


def test_rules_are_shown_by_their_own_lines():
    assert part(explore(heavy_ball))["lines"] == (
        "def heavy_ball(theta, v, grad, *, eta, gamma):\n"
        "    v = gamma * v + eta * grad(theta)\n"
        "    return theta - v, v"
    )
    lines = part(explore(aggregated((0, 0.5))))["lines"]
    assert lines.startswith("def step(theta, *velocities_and_grad, eta)")
    typed = Rule(eval("lambda theta, grad, *, eta: theta - eta * grad(theta)"))
    assert "source is not at hand" in part(explore(typed))["lines"]


def test_where_notebooks_are_executed_to_be_kept_it_is_a_page_in_a_frame(monkeypatch):
    for name, value in Execution(figures="somewhere").variables.items():
        monkeypatch.setenv(name, value)
    page, again = explore(heavy_ball), explore(heavy_ball)
    shown = page._repr_mimebundle_()
    assert shown == again._repr_mimebundle_() and set(shown) == {"text/plain", "text/html"}
    frame = re.search(r'srcdoc="([^"]*)"', shown["text/html"])[1]
    assert html.unescape(frame) == page.html


def test_where_a_reader_plays_it_is_a_widget_and_without_anywidget_a_frame(monkeypatch):
    for name in Execution().variables:
        monkeypatch.delenv(name, raising=False)
    pytest.importorskip("anywidget")
    shown = json.dumps(explore(heavy_ball)._repr_mimebundle_()[0])
    assert "application/vnd.jupyter.widget-view+json" in shown
    monkeypatch.setitem(sys.modules, "anywidget", None)
    assert "<iframe" in explore(heavy_ball)._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: explore("heavy_ball"), r'take RULES\["heavy_ball"\]'),
        (lambda: explore([]), "no rule"),
        (lambda: explore(heavy_ball.at(eta=[1, 2])), "several values"),
        (lambda: explore(heavy_ball, 0.5), "kappa is 0.5"),
        (lambda: explore(heavy_ball, theta0=[1, 2, 3]), "give 2 numbers"),
        (lambda: explore(heavy_ball, steps=0), "steps is 0"),
        (lambda: explore(heavy_ball, steps=2000), "at most 1000"),
        (lambda: explore(heavy_ball, spans={"beta": (0, 1)}), "spans names beta"),
        (lambda: explore(heavy_ball, spans={"gamma": (1, 0)}), "span of gamma is"),
        (lambda: explore(heavy_ball).save("page.txt"), "does not end in .html"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
