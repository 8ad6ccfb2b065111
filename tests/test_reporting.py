"""The report of a rule: what is on the page, what is refused and why, and that the page is one safe file."""

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from momentum_lib import (
    RULES,
    NotLinear,
    Quadratic,
    Rule,
    RuleError,
    adam,
    gradient_descent,
    heavy_ball,
    identify,
    nesterov,
    nesterov_simple,
    pid,
    tune,
    worst_rate,
)
from momentum_lib.problems import Himmelblau, Problem
from momentum_lib.reporting import compare, report


def blend(theta, m, grad, *, lr, mu):
    """Half the slope, half its average."""
    slope = grad(theta)
    m = mu * m + (1 - mu) * slope
    return theta - lr * (m + slope) / 2, m


blend = Rule(blend)  # not @rule: the registry is for every test


TITLES = [
    *("Your lines", "Beside the classics", "Which method it is", "In symbols", "Matrix and stability"),
    *("Stability region", "Rate map", "Tuning", "Damping atlas", "Motion", "Path on a ravine"),
    *("Noise floor", "Worst case", "Training"),
]


@pytest.fixture(scope="module")
def page():
    return report(blend)


class Page(HTMLParser):
    """What a browser would fetch, the ids there are and those that are asked for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.fetched = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "data"):
                self.fetched.append(value)


def test_every_section_is_there_and_whole_for_two_letters_of_ones_own(page):
    assert [section.title for section in page.sections] == TITLES
    assert [section.title for section in page.sections if section.refusal] == []
    assert repr(page) == "report of blend, kappa 100"


def test_the_numbers_are_those_of_the_analysis(page):
    tuning = page["Tuning"].tables[0].set_index("kappa")
    rate = tune(heavy_ball, 0.001, 1).rate
    assert tuning.loc[1000, "heavy_ball"] == round(-1 / math.log(rate), 1) == tuning.loc[1000, "lower bound"]
    assert tuning.loc[100, "blend"] == round(-1 / math.log(worst_rate(page.setting, 0.01, 1)), 1)
    worst = page["Worst case"].tables[0]
    contraction = 1 - 2 / 1.01 * 0.01  # gradient descent at 2/(mu + L), by Nesterov's theorem, every step
    np.testing.assert_allclose(worst["gradient_descent"], contraction ** np.array([1, 2, 3]), atol=1e-4)
    classics = ["gradient_descent", "heavy_ball", "nesterov"]
    assert page["Beside the classics"].tables[0]["rule"].tolist() == ["blend", *classics]
    assert "blend is qhm(alpha=lr" in page["Which method it is"].html
    letters = page["Your lines"].tables[0][["letter", "role", "given"]]
    assert letters.to_numpy().tolist() == [["lr", "step size", "open"], ["mu", "momentum", "open"]]


def test_the_page_is_one_file_that_asks_for_nothing(page, tmp_path):
    path = page.save(tmp_path / "page.html")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    text = path.read_text(encoding="utf-8")
    seen = Page(text)
    assert {"math", "svg", "table", "pre"} <= seen.tags and not {"script", "link", "iframe"} & seen.tags
    assert all(link.startswith(("#", "data:image/png")) for link in seen.fetched)
    asked = {link[1:] for link in seen.fetched if link[0] == "#"} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert asked <= set(seen.ids) and len(set(seen.ids)) == len(seen.ids)
    for drawing in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        ElementTree.fromstring(drawing)  # well-formed, and so drawn by every browser
    assert "@import" not in text and len(text) < 1_000_000


def test_tables_lie_beside_the_page_on_request(page, tmp_path):
    page.save(tmp_path / "mine.html", csv=True)
    names = {p.name for p in tmp_path.glob("*.csv")}
    assert {"mine-tuning-1.csv", "mine-rate-map-1.csv", "mine-worst-case-1.csv"} <= names
    first = (tmp_path / "mine-tuning-1.csv").read_text().splitlines()[0]
    assert first == "kappa,setting,blend,gradient_descent,heavy_ball,nesterov,lower bound"


def test_it_shows_itself(page):
    assert page._repr_html_().count("<details") == len(TITLES)
    assert page["Tuning"]._repr_html_().startswith("<h2>Tuning</h2>")


def test_what_was_typed_is_escaped(tmp_path):
    def step(theta, grad, *, eta):
        return (theta - eta * grad(theta),)  # <script>alert("1 & 2")</script>

    text = report(Rule(step, name="<b>mine</b> & $x")).save(tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<b>" not in text and "<script" not in text
    assert "&lt;b&gt;mine&lt;/b&gt; &amp; $x" in text and "&lt;script&gt;" in text


SCHEDULED = nesterov.at(eta=1.0, gamma=nesterov_simple())


@pytest.mark.parametrize(
    "given, whole, refused, why",
    [
        (adam.at(eta=0.1), ["Your lines", "Beside the classics", "Path on a ravine"], "Tuning", "not linear"),
        (adam, ["Your lines"], "Path on a ravine", r"leaves eta open; set it with \.at\(eta"),
        (pid, ["Tuning", "Worst case", "Path on a ravine"], "Rate map", "k_p and k_i and k_d"),
        (gradient_descent, ["Motion", "Noise floor"], "Damping atlas", "has no momentum to spread"),
        (SCHEDULED, ["In symbols"], "Motion", "is a schedule"),
    ],
    ids=["not linear", "not linear, open", "three slots", "no momentum", "schedule"],
)
def test_each_rule_gets_what_applies_and_is_told_the_rest(given, whole, refused, why):
    made = report(given)
    assert not any(made[title].refusal for title in whole)
    assert re.search(why, made[refused].refusal) and "Does not apply" in made[refused].html


def test_a_setting_is_kept_where_it_diverges_too_and_open_letters_are_tuned(page):
    held = heavy_ball.at(eta=9.0, gamma=0.9)
    made = report(held, kappa=10)
    assert made.setting is held and not any(section.refusal for section in made.sections)
    assert page.rule is blend and not page.setting.free


def test_a_training_is_shown_on_request():
    from momentum_lib.learning import Classifier

    section = report(gradient_descent, task=Classifier(widths=(4,)), steps=3)["Training"]
    assert "gradient_descent(eta=" in section.html and section.tables and not section.refusal


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda page: report("heavy_ball"), r'take RULES\["heavy_ball"\]'),
        (lambda page: report(blend, kappa=0.5), "kappa is 0.5; give one finite number of at least 1"),
        (lambda page: report(blend, kappa=math.inf), "kappa is inf"),
        (lambda page: report(blend, kappa="big"), "kappa is 'big'"),
        (lambda page: page.save("page.txt"), "does not end in .html"),
        (lambda page: compare([blend], 0.01), "two numbers mu and L"),
        (lambda page: compare([blend], 1, 0.01), "0 < mu <= L"),
        (lambda page: compare([blend], "bowl", 1), "compare got 'bowl'"),
        (lambda page: compare([], 0.01, 1), "no rule"),
        (lambda page: compare(blend, Himmelblau()), "leaves lr and mu open"),
        (lambda page: compare(blend, 0.01, 1, cap=2.5), "cap is 2.5"),
        (lambda page: compare(blend, 0.01, 1, tol=0), "tol is 0; give one finite number above 0"),
        (lambda page: compare(blend, 0.01, 1, theta0=[1, 2]), r"theta0 is \[1, 2\]; give 33 numbers"),
    ],
)
def test_bad_input_gets_one_sentence(page, call, message):
    with pytest.raises(ValueError, match=message):
        call(page)


def test_a_rule_of_ones_own_is_no_known_method_for_being_registered(monkeypatch):
    def averaged(theta, m, grad, *, lr, beta):
        m = beta * m + (1 - beta) * grad(theta)
        return theta - lr * m, m

    mine = Rule(averaged)
    monkeypatch.setitem(RULES, "averaged", mine)  # as @rule does
    assert identify(mine).rule.base is RULES["ema"]


def test_a_section_that_is_not_there_is_named(page):
    with pytest.raises(KeyError, match="the sections are Your lines, Beside"):
        page["Tunings"]


# --- compare -----------------------------------------------------------------------------------------


def test_one_row_a_rule_with_what_theory_and_a_run_say():
    ball = heavy_ball.at(eta=1.0, gamma=0.9)
    table = compare({"ball": ball, "tuned": heavy_ball, "mine": blend, "away": ball.at(eta=9.0)}, 0.1, 1)
    rows = table.set_index("rule")
    assert list(rows.index) == ["ball", "tuned", "mine", "away"]
    assert rows.loc["ball", ["rate", "limit"]].tolist() == pytest.approx([0.9**0.5, 3.8])
    assert rows.loc["tuned", "rate"] == pytest.approx(tune(heavy_ball, 0.1, 1).rate)
    assert rows.loc["ball", "setting"] == "eta=1, gamma=0.9"
    assert rows.loc["away", ["steps", "noise", "overshoot"]].tolist() == [math.inf] * 3
    assert rows.loc["mine", "steps"] < rows.loc["ball", "steps"] < math.inf


def test_steps_are_counted_until_a_run_stays():
    table = compare(gradient_descent.at(eta=0.5), Quadratic([1.0]), tol=0.5**10, theta0=8.0)
    assert table.loc[0, ["steps", "rises", "reversals", "path"]].tolist() == [10.0, 0, 0, 1.0]
    assert compare(gradient_descent.at(eta=0.5), Quadratic([1.0]), cap=5).loc[0, "steps"] == math.inf


def test_overshoot_is_read_along_the_eigen_directions():
    turned = Quadratic([0.1, 1.0], rotation=7, minimizer=[3.0, 4.0])
    straight = Quadratic([0.1, 1.0])
    ball = heavy_ball.at(eta=1.0, gamma=0.9)
    start = turned.minimizer + turned.eigenvectors @ np.ones(2)
    seen = [compare(ball, p, theta0=x).loc[0, "overshoot"] for p, x in ((turned, start), (straight, 1.0))]
    assert seen[0] == pytest.approx(seen[1])


@pytest.mark.parametrize("problem", [Himmelblau(), Problem.from_function(lambda x: (x**4).sum(), 2)])
def test_any_problem_and_rule_has_a_row(problem):
    rules = [adam.at(eta=0.05), heavy_ball.at(eta=0.01, gamma=0.9)]
    table = compare(rules, problem, tol=1e-3, theta0=[0.5, 1.0])
    assert table["rule"].tolist() == ["adam", "heavy_ball"] and np.isfinite(table["steps"]).all()
    assert "rate" not in table


def test_what_is_not_for_a_rule_is_nan():
    row = compare(adam.at(eta=0.01), 0.1, 1).loc[0]
    assert row[["rate", "limit", "noise"]].isna().all() and row["steps"] > 0


def test_refusals_are_of_the_kinds_that_sections_show():
    assert issubclass(NotLinear, RuleError) and issubclass(RuleError, ValueError)
