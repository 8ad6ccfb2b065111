"""The explorer in a real browser: it makes the numbers of `run`, answers hand and key."""

import re
import zlib

import numpy as np
import pytest

from momentum_lib import (
    NONLINEAR,
    RULES,
    Rule,
    explore,
    gradient_restart,
    heavy_ball,
    iteration_matrix,
    nesterov,
    qhm,
    run,
    spectral_radius,
)


def cautious(theta, v, h, grad, *, lr, mu, cut=0.5):
    """A student's rule: two velocities, the gradient read twice, the second time ahead and cut."""
    g = grad(theta)
    v = mu * v + lr * g
    ahead = np.clip(grad(theta - mu * v), -cut, cut)
    h = np.where(g * ahead > 0, 0.5 * h, 0) + lr * ahead
    return theta - (2 * v + h) / 3, v, h


cautious = Rule(cautious)
#: Every rule that a page can step, and one of a student's.
STEPPED = {**RULES, "cautious": cautious} | {
    n: NONLINEAR[n] for n in ("fixed_restart", "signum", "lion", "adam")
}


@pytest.fixture(scope="module")
def context(browser):
    with browser.new_context(viewport={"width": 1200, "height": 1000}) as context:
        context.set_offline(True)
        yield context


@pytest.fixture
def visit(context, tmp_path):
    """Open the page of rules from a file; at the end nothing was asked for, nothing was complained of."""
    asked, complaints, pages = [], [], []

    def open_page(rules, address="", **options):
        page = context.new_page()
        pages.append(page)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        path = explore(rules, **options).save(tmp_path / f"{len(pages)}.html")
        page.goto(path.as_uri() + address)
        page.wait_for_selector(".meaning:not(:empty)")
        return page

    yield open_page
    assert complaints == []
    assert len(asked) == len(pages) and all(url.startswith("file:") for url in asked)
    for page in pages:
        page.close()


def settle(page):
    """Two frames on, everything that was asked for is drawn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def state(page):
    """What the address says."""
    settle(page)
    return {k: float(v) for k, v in (pair.split("=") for pair in page.url.partition("#")[2].split("&"))}


def paths(page):
    return [np.array(path) for path in page.evaluate("document.querySelector('.explorer > div').paths")]


# --- the numbers -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inside(context):
    """One page of all rules, which is not shown: its functions, and for each rule its letters' dials."""
    shown = explore(STEPPED)
    page = context.new_page()
    given = "Object.assign(window, { descend, spectrum, SPEC });"
    page.set_content(shown.html.replace("render({ model, el: document.body });", given))
    page.evaluate(
        "new Promise(done => { (function look() { window.SPEC ? done() : setTimeout(look); })(); })"
    )
    dials = {
        part["label"]: {key: shown._spec["dials"][key] for key in part["letters"]}
        for part in shown._spec["rules"]
    }
    yield page, dials
    page.close()


def slopes(on, a, b):
    """The gradients of the page's functions, written a second time."""
    lam = np.array([a, b])

    def valley(p):
        x, y = p
        return np.array([a * x - b * (y - x * x / 4) * x / 2, b * (y - x * x / 4)])

    def wells(p):
        x, y = p
        return np.array([a * x * (x * x - 1) / 2, b * y])

    return [lambda p: lam * p, valley, wells][on]


def settings(name, dials, count=20):
    """Letters over their dials, worlds around the first one: the state of the page, and the letters alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for k in range(count):
        world = {"a": rng.uniform(0.01, 0.5), "b": rng.uniform(0.5, 2), "on": k % 3, "noise": 0, "steps": 150}
        world |= {"x": rng.uniform(-2, 2), "y": rng.uniform(-1, 1), "rule": list(STEPPED).index(name)}
        letters = {key: rng.uniform(*span) for key, (_, _, span) in dials[name].items()}
        yield world | letters, {dials[name][key][0]: value for key, value in letters.items()}


@pytest.mark.parametrize("name", STEPPED)
def test_the_path_is_that_of_run(inside, name):
    page, dials = inside
    drawn = list(settings(name, dials))
    script = "states => states.map(state => descend(SPEC.rules[state.rule], state))"
    found = page.evaluate(script, [world for world, _ in drawn])
    code = page.evaluate(f"SPEC.rules[{drawn[0][0]['rule']}].body.toString()")
    for path, (world, letters) in zip(found, drawn, strict=True):
        grad, start = slopes(world["on"], world["a"], world["b"]), [world["x"], world["y"]]
        wanted = run(STEPPED[name].at(**letters), grad, start, world["steps"])
        path, kept = np.array(path, float), len(path)
        assert kept == (wanted.diverged_at or world["steps"] + 1)
        if "**" not in code:  # bit for bit; powers, equal too where this was written, are the machine's
            assert np.array_equal(path, wanted.theta[:kept]), (world, letters)
        else:
            np.testing.assert_allclose(path, wanted.theta[:kept], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_the_eigenvalues_are_those_of_the_analysis(inside, name):
    page, dials = inside
    for world, letters in settings(name, dials, 5):
        found = page.evaluate("state => spectrum(SPEC.rules[state.rule], state)", world)
        matrices = iteration_matrix(RULES[name].at(**letters), [world["a"], world["b"]])
        for roots, matrix in zip(found, matrices, strict=True):
            polynomial = np.poly([complex(*root) for root in roots])[: len(matrix) + 1]
            atol = 1e-10 * max(1, np.abs(matrix).max()) ** len(matrix)
            np.testing.assert_allclose(polynomial, np.poly(matrix), atol=atol)
            assert np.hypot(*roots[0]) >= max(np.hypot(*root) for root in roots) * (1 - 1e-12)


# --- what a reader does ------------------------------------------------------------------------------


def middle(page, selector):
    """Where an element is touched."""
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def slider(page, name):
    return page.get_by_role("slider", name=name, exact=True)


def test_the_page_draws_what_the_address_says_and_says_what_it_means(visit):
    page = visit(heavy_ball, "#eta=0.5&gamma=0.9&x=1&y=-1&steps=30")
    (path,) = paths(page)
    wanted = run(heavy_ball.at(eta=0.5, gamma=0.9), lambda p: np.array([0.05, 1]) * p, [1.0, -1.0], 30)
    assert np.array_equal(path, wanted.theta)
    rate = spectral_radius(heavy_ball.at(eta=0.5, gamma=0.9), [0.05, 1]).max()
    assert f"a factor 10 every {-1 / np.log10(rate):.3g} steps, swinging" in page.inner_text(".meaning")
    page.evaluate("location.hash = '#eta=8&gamma=0.5'")
    page.wait_for_selector(".meaning:has-text('θ₂ diverges')")
    page.evaluate("location.hash = '#eta=0&gamma=0.5'")
    page.wait_for_selector(".meaning:has-text('does not converge')")
    page.evaluate("location.hash = '#eta=no&gamma=&rule=7&on=9&steps=1e9'")
    settle(page)
    assert page.locator("select").input_value() == "0"


def test_the_dot_on_the_map_and_the_start_are_dragged(visit):
    page = visit(heavy_ball)
    before = paths(page)[0]
    x, y = middle(page, ".map .knob")
    page.mouse.move(x + 10, y - 10)  # off its middle: it does not jump
    page.mouse.down()
    page.mouse.move(x + 110, y + 40, steps=4)
    page.mouse.up()
    assert state(page)["eta"] > 0.8 and state(page)["gamma"] < 0.8
    assert middle(page, ".map .knob") == pytest.approx((x + 100, y + 50), abs=1)
    x, y = middle(page, ".path .knob")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y + 30)
    page.mouse.up()
    assert state(page)["x"] < 2 and state(page)["y"] < 1
    settle(page)
    assert not np.array_equal(paths(page)[0], before)
    x, y = middle(page, ".map canvas")
    page.mouse.click(x, y)  # and a click calls it
    settle(page)
    assert middle(page, ".map .knob") == pytest.approx((x, y), abs=1)


def test_every_setting_is_moved_by_keys(visit):
    page = visit(heavy_ball)
    labels = page.locator("label span:first-child").all_inner_texts()
    assert labels == [
        "eta",
        "gamma",
        "curvature θ₁",
        "curvature θ₂",
        "start θ₁",
        "start θ₂",
        "noise",
        "steps",
    ]
    keys = ["eta", "gamma", "a", "b", "x", "y", "noise", "steps"]
    for label, key in zip(labels, keys, strict=True):
        slider(page, label).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        up = state(page)[key]
        page.keyboard.press("ArrowLeft")
        assert state(page)[key] < up
    assert slider(page, "gamma").get_attribute("aria-valuetext").startswith("0.80")
    page.wait_for_selector(".spoken:has-text('factor 10')", state="attached")


def test_best_takes_the_theorem_or_the_least_of_the_map(visit):
    page = visit(heavy_ball)
    page.get_by_role("button", name="Best").click()
    root = 20**0.5
    assert state(page)["gamma"] == pytest.approx(((root - 1) / (root + 1)) ** 2, rel=1e-3)
    page.evaluate("location.hash = '#a=0.2'")
    page.wait_for_timeout(1500)  # the fine map
    page.get_by_role("button", name="Best").click()
    found = heavy_ball.at(eta=state(page)["eta"], gamma=state(page)["gamma"])
    fastest = (5**0.5 - 1) / (5**0.5 + 1)
    assert fastest <= spectral_radius(found, [0.2, 1]).max() < fastest + 0.05


def test_several_rules_are_compared_and_open_letters_move_together(visit):
    page = visit([heavy_ball, nesterov, qhm])
    assert re.findall(r"\w+(?=: θ)", page.inner_text(".meaning")) == ["heavy_ball", "nesterov", "qhm"]
    page.get_by_role("button", name="nesterov").click()
    slider(page, "gamma").focus()
    page.keyboard.press("End")
    settle(page)
    one, two, three = paths(page)
    assert state(page)["rule"] == 1 and state(page)["gamma"] == pytest.approx(0.999)
    wanted = run(
        heavy_ball.at(eta=0.8, gamma=state(page)["gamma"]), lambda p: np.array([0.05, 1]) * p, [2.0, 1.0], 100
    )
    assert np.array_equal(one, wanted.theta) and not np.array_equal(one, two) and len(three) == 101
    assert "def nesterov" in page.inner_text("pre")


def test_off_the_quadratic_and_under_noise_the_path_is_told(visit):
    page = visit(heavy_ball)
    page.locator("select").select_option(label="two wells")
    page.wait_for_selector(".meaning:has-text('from a minimum')")
    page.evaluate("location.hash = '#on=0&noise=0.3'")
    page.wait_for_selector(".meaning:has-text('After 100 steps')")
    again = paths(page)[0]
    page.evaluate("location.hash = '#eta=0.81'")
    settle(page)
    assert 0 < np.abs(paths(page)[0] - again).max() < 0.5  # the same noise


def test_a_rule_that_is_refused_shows_what_applies(visit):
    page = visit(gradient_restart.at(eta=1.0))
    assert "several coordinates at once" in page.inner_text(".notes")
    assert not page.locator(".map").is_visible() and page.locator(".path").is_visible()
    page = visit(NONLINEAR["adam"])
    assert "not linear" in page.inner_text(".notes") and "After 100 steps" in page.inner_text(".meaning")
    assert page.locator(".map").is_visible() and not page.get_by_role("button", name="Best").is_visible()


# --- for everybody -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(browser, tmp_path, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    path = explore([heavy_ball, nesterov]).save(tmp_path / "page.html")
    with browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 500, bypass_csp=True
    ) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector(".meaning:not(:empty)")
        found = axe.run(page).response["violations"]
        assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
        assert background == "light dark"
        for knob in page.locator(".knob").all():
            assert min(knob.bounding_box()["width"], knob.bounding_box()["height"]) > 43.9
        if width < 500:  # a tap calls the dot, and a finger on the map still scrolls
            x, y = middle(page, ".map canvas")
            page.touchscreen.tap(x, y)
            settle(page)
            assert middle(page, ".map .knob") == pytest.approx((x, y), abs=1)
            assert (
                page.evaluate("getComputedStyle(document.querySelector('.map canvas')).touchAction") == "auto"
            )


def test_the_frame_of_a_committed_notebook_plays(context):
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.set_content(f"<main>{explore(heavy_ball)._frame}</main>")
    frame = page.frame_locator("iframe")
    frame.get_by_role("slider", name="eta").focus()
    page.keyboard.press("End")
    frame.locator(".meaning:has-text('diverges')").wait_for()
    assert complaints == []
    page.close()
