// The explorer: one module for two hosts, a notebook's widget and a saved page.
// Before it stands SPEC: each rule as a generator printed from its own lines, its letters, their dials.
// A rule is stepped one generator a coordinate; where it asks for a gradient, it yields the point.

const { abs, atan2, ceil, cos, exp, floor, hypot, log, log10, max, min, PI, sin, sqrt } = Math;
const NAMES = ["θ₁", "θ₂"];
const DIRECTIONS = [[47, 134, 214], [224, 101, 26]]; // a color each, the same in every panel
const VIRIDIS = [[253, 231, 37], [53, 183, 121], [49, 104, 142], [68, 1, 84]]; // fast to slow
const LATE = 2 ** 100; // the t at which a rule that counts its steps is analysed

// 2f, and the gradient of f; a and b are the curvatures at each minimum.
const LANDSCAPES = [
  {
    name: "quadratic bowl",
    f: (x, y, a, b) => a * x * x + b * y * y,
    slope: (x, y, a, b) => [a * x, b * y],
  },
  {
    name: "Rosenbrock's valley",
    f: (x, y, a, b) => a * x * x + b * (y - x * x / 4) ** 2,
    slope: (x, y, a, b) => [a * x - b * (y - x * x / 4) * x / 2, b * (y - x * x / 4)],
  },
  {
    name: "two wells",
    minima: [[1, 0], [-1, 0]],
    f: (x, y, a, b) => a * (x * x - 1) ** 2 / 4 + b * y * y,
    slope: (x, y, a, b) => [a * x * (x * x - 1) / 2, b * y],
  },
];

// --- a rule's steps and its eigenvalues

function advance(step, states, letters, t, slopes) {
  const going = states.map(slots => step(...slots, ...letters, t));
  let said = going.map(one => one.next());
  while (!said[0].done) {
    const given = slopes(said.map(one => one.value));
    said = going.map((one, i) => one.next(given[i]));
  }
  return said.map(one => one.value);
}

const lettersOf = (rule, state) => rule.letters.map(key => state[key]);

// Normal numbers, the same at every drag, so that only the setting moves the picture.
let seed = 1;
const uniform = () => (seed = seed * 48271 % 2147483647) / 2147483647;
const KICKS = Array.from({ length: 2002 }, () => sqrt(-2 * log(uniform())) * cos(2 * PI * uniform()));

// The path from the start, as far as it is finite.
function descend(rule, state) {
  if (rule.recorded) return rule.recorded;
  const { slope } = LANDSCAPES[state.on], path = [[state.x, state.y]], letters = lettersOf(rule, state);
  let states = path[0].map(x => rule.points.map(point => (point ? x : 0 * x)));
  for (let t = 1; t <= state.steps; t++) {
    const slopes = at => slope(...at, state.a, state.b).map((g, i) => g + state.noise * KICKS[2 * t + i]);
    states = advance((t === 1 && rule.first) || rule.body, states, letters, t, slopes);
    const point = states.map(slots => slots[0]);
    if (!point.every(isFinite)) break;
    path.push(point);
  }
  return path;
}

// For each direction its eigenvalues, the largest first.
function spectrum(rule, state) {
  const letters = lettersOf(rule, state), unit = i => rule.points.map((_, j) => +(i === j));
  return [state.a, state.b].map(lam => {
    // What one step makes of each unit state, column by column.
    const slopes = ([x]) => [lam * x];
    return eigenvalues(rule.points.map((_, i) => advance(rule.body, [unit(i)], letters, LATE, slopes)[0]));
  });
}

const size = ([re, im]) => sqrt(re * re + im * im);
const rateOf = roots => size(roots[0]);
const decade = rate => -1 / log10(rate); // steps for a factor 10

function eigenvalues(columns) {
  if (columns.length > 2) return rootsOf(polynomialOf(columns)).sort((p, q) => size(q) - size(p));
  const [[a, c = 0], [b, d] = [0, 0]] = columns, half = (a + d) / 2, square = half * half - a * d + b * c;
  const root = sqrt(abs(square)), far = half < 0 ? -root : root;
  return square < 0 ? [[half, root], [half, -root]] : [[half + far, 0], [half - far, 0]];
}

// Coefficients from the highest power down, from the traces of powers, after Newton.
function polynomialOf(columns) {
  const found = [1], traces = [], sum = (list, term) => list.reduce((all, one, i) => all + term(one, i), 0);
  let power = columns;
  for (const k of columns.keys()) {
    traces.push(sum(power, (column, i) => column[i]));
    found.push(-sum(traces, (trace, i) => trace * found[k - i]) / (k + 1));
    power = power.map(old => old.map((_, i) => sum(columns, (column, m) => column[i] * old[m])));
  }
  return found;
}

// All roots at once, after Durand and Kerner: p/(u1 ... un) is the step of a root, on complex numbers.
function rootsOf(polynomial) {
  const re = [], im = [], all = [...polynomial.slice(1).keys()];
  for (const k of all) [re[k], im[k]] = [cos(2 * k + 0.4), sin(2 * k + 0.4)];
  for (let sweep = 0, moved = 1; sweep < 99 && moved > 1e-13; sweep++) {
    moved = 0;
    for (const k of all) {
      let p = 1, q = 0, u = 1, v = 0;
      for (const j of all) {
        const x = re[k] - re[j], y = im[k] - im[j];
        [p, q] = [p * re[k] - q * im[k] + polynomial[j + 1], p * im[k] + q * re[k]];
        if (j !== k) [u, v] = [u * x - v * y, u * y + v * x];
      }
      const norm = u * u + v * v, [x, y] = [(p * u + q * v) / norm, (q * u - p * v) / norm];
      re[k] -= x;
      im[k] -= y;
      moved = max(moved, abs(x) + abs(y));
    }
  }
  return all.map(k => [re[k], im[k]]);
}

// --- drawing

const short = x => String(+x.toPrecision(3)).replace("-", "−");
const clamp = ([low, high], x) => min(max(x, low), high);
const mix = ([low, high], part) => low + part * (high - low);
const part = ([low, high], x) => (x - low) / (high - low);

function make(parent, tag, attributes, text = "") {
  const node = document.createElement(tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  node.textContent = text;
  parent.append(node);
  return node;
}

function ticksOf([low, high]) {
  const span = high - low, power = 10 ** floor(log10(span)), ticks = [];
  const step = power * (span < 2.5 * power ? 0.5 : span < 5 * power ? 1 : 2);
  for (let k = ceil(low / step); k * step <= high; k++) ticks.push(k * step);
  return ticks;
}

class Panel {
  constructor(root, name, title) {
    this.figure = make(root, "figure", { class: name, role: "group", "aria-label": title });
    make(this.figure, "figcaption", {}, title);
    this.canvas = make(this.figure, "canvas", { "aria-hidden": true });
    this.pen = this.canvas.getContext("2d");
    this.sheet = document.createElement("canvas"); // what is painted, below what is drawn
  }

  // Clean, with the painting, axes, and what stands at their ends; a number spans both axes alike.
  open(xs, ys, xName, yName, yTick = short) {
    const { canvas, pen } = this, { clientWidth: w, clientHeight: h } = canvas, dots = devicePixelRatio;
    const box = [46, 20, w - 60, h - 56], [left, top, wide, high] = box;
    if (xs > 0) [xs, ys] = [wide, high].map(side => [-1, 1].map(sign => sign * xs * side / min(wide, high)));
    Object.assign(this, { xs, ys, left, top, wide, high });
    Object.assign(canvas, { width: w * dots, height: h * dots });
    pen.scale(dots, dots);
    pen.drawImage(this.sheet, ...box);
    pen.font = "12px system-ui";
    pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
    pen.fillText(yName, 8, 12);
    pen.textAlign = "center";
    for (const x of ticksOf(xs)) pen.fillText(short(x), this.at([x, 0])[0], h - 21);
    pen.fillText(xName, left + wide / 2, h - 5);
    pen.textAlign = "right";
    for (const y of ticksOf(ys)) pen.fillText(yTick(y), left - 5, this.at([0, y])[1] + 4);
    pen.rect(...box);
    pen.stroke();
    pen.clip();
  }

  // Where a point lies on the canvas.
  at([x, y]) {
    const { xs, ys, left, top, wide, high } = this;
    return [left + wide * part(xs, x), clamp([-1e4, 1e4], top + high * (1 - part(ys, y)))];
  }

  // A color for each cell, rows upwards.
  paint(width, height, color) {
    const image = new ImageData(width, height);
    for (let k = 0; k < width * height; k++) {
      image.data.set(color(k % width, height - 1 - floor(k / width)), 4 * k);
    }
    Object.assign(this.sheet, { width, height });
    this.sheet.getContext("2d").putImageData(image, 0, 0);
  }

  line(points, strokeStyle, dash = [], lineWidth = 2) {
    const { pen } = this;
    Object.assign(pen, { strokeStyle, lineWidth });
    pen.setLineDash(dash);
    pen.beginPath();
    for (const point of points) pen.lineTo(...this.at(point));
    pen.stroke();
  }

  // A handle to drag; a click or a tap on the panel calls it. For keys there are the dials.
  addKnob(move, done) {
    const { canvas } = this, knob = this.knob = make(this.figure, "div", { class: "knob" });
    let grip;
    const follow = event => {
      const box = canvas.getBoundingClientRect(), { xs, ys, left, top, wide, high } = this;
      const right = event.clientX - grip[0] - box.x - left, down = event.clientY - grip[1] - box.y - top;
      move(clamp(xs, mix(xs, right / wide)), clamp(ys, mix(ys, 1 - down / high)));
    };
    canvas.onpointerdown = knob.onpointerdown = event => {
      if (event.target === canvas && event.pointerType === "touch") return; // a finger scrolls, or taps
      grip = event.target === knob ? [event.offsetX - 22, event.offsetY - 22] : [0, 0];
      knob.setPointerCapture(event.pointerId);
      event.preventDefault();
      follow(event);
    };
    knob.onpointermove = event => knob.hasPointerCapture(event.pointerId) && follow(event);
    knob.onlostpointercapture = done;
    canvas.onclick = event => (grip = [0, 0], follow(event), done());
  }

  moveKnob(x, y) {
    const [left, top] = this.at([clamp(this.xs, x), clamp(this.ys, y)]);
    this.knob.style.translate = `${left}px ${top + this.canvas.offsetTop}px`;
  }

  dot(point, color, full = true, radius = 4) {
    this.line([], this.pen.fillStyle = color);
    this.pen.arc(...this.at(point), radius, 0, 7);
    this.pen[full ? "fill" : "stroke"]();
  }
}

// Bright is fast, 3 to 1000 steps for a factor 10; hatched in the color of a direction that diverges.
function shade(rates, stripe) {
  const rate = max(...rates), place = clamp([0, 3], 1.2 * log10(decade(rate) / 3)), k = min(floor(place), 2);
  if (rate >= 1) return [...DIRECTIONS[+(rates[1] >= 1)], stripe < 2 ? 140 : 25];
  return [...VIRIDIS[k].map((c, i) => mix([c, VIRIDIS[k + 1][i]], place - k)), 255];
}

// From a value to where it lies evenly, and back; `memory` is even in the log of 1/(1 - value).
const SCALES = {
  plain: [x => x, x => x],
  log: [log, exp],
  memory: [x => -log(1 - x), x => 1 - exp(-x)],
};

function addDial(parent, [name, scale, span], put, done) {
  const [there, back] = SCALES[scale], ends = span.map(there), label = make(parent, "label");
  make(label, "span", {}, name);
  const shown = make(label, "span", { "aria-hidden": true });
  const slider = make(label, "input", { type: "range", max: 400 });
  slider.oninput = () => put(back(mix(ends, slider.value / 400)));
  slider.onchange = done;
  return now => {
    slider.value = 400 * part(ends, there(now));
    shown.textContent = short(now) + (scale === "memory" ? `, memory ${short(1 / (1 - now))}` : "");
    slider.setAttribute("aria-valuetext", shown.textContent);
  };
}

// One sentence of meaning.
function tell(directions, gap, { on, noise, steps }) {
  const after = gap < 1e3 ? `After ${steps} steps it is ${short(gap)} from a minimum.` : "This path runs away.";
  if (!directions) return after;
  const k = +(rateOf(directions[1]) > rateOf(directions[0])), [re, im] = directions[k][0], rate = hypot(re, im);
  const swing = `swinging with period ${short(2 * PI / abs(atan2(im, re)))}`;
  const how = im ? swing : re < 0 ? "changing sign every step" : "without a swing";
  const pace = `a factor 10 every ${short(abs(decade(rate)))} steps, ${how}. `;
  const fate = abs(rate - 1) < 1e-9 ? "does not converge. " : `${rate < 1 ? "sets the pace" : "diverges"}: ${pace}`;
  return `${on ? "Near a minimum " : ""}${NAMES[k]} ${fate}${on || noise ? after : ""}`;
}

// --- all of it

export default { render };

function render({ model, el }) {
  const state = { ...SPEC.state }, { rules, dials } = SPEC, rule = () => rules[state.rule];
  let chartOf, charting, contoursOf, dialsOf, drawing, ink, lowest, next, sliders, timer;
  el.classList.add("explorer");
  el.dataset.lmSuppressShortcuts = true; // JupyterLab would take the arrows
  el.onkeydown = event => event.stopPropagation();
  const save = () => (model.set("state", { ...state }), model.save_changes?.());
  const redraw = () => (drawing ??= requestAnimationFrame(draw));
  const set = changes => {
    for (const key in changes) state[key] = +(+changes[key]).toPrecision(4);
    redraw();
  };

  const root = make(el, "div"), head = make(root, "header");
  const tabs = rules.map(({ label }, k) => {
    const tab = make(head, "button", {}, label);
    tab.onclick = () => (set({ rule: k }), save());
    return tab;
  });
  const choice = make(head, "select", { "aria-label": "Function" });
  LANDSCAPES.forEach(({ name }, on) => make(choice, "option", { value: on }, name));
  choice.onchange = () => (set({ on: choice.value }), save());
  const button = make(head, "button", {}, "Best");
  button.onclick = () => (set(best()), save());
  const meaning = make(root, "p", { class: "meaning", "aria-hidden": true });
  const spoken = make(root, "p", { class: "spoken", role: "status" });
  const [map, path, disc, motion, error] = Object.entries(SPEC.panels).map(pair => new Panel(root, ...pair));
  const controls = make(root, "div", { class: "dials", role: "group", "aria-label": "Settings" });
  const notes = make(root, "div", { class: "notes" });
  map.addKnob((x, y) => set({ [rule().across]: x, [rule().up]: y }), save);
  path.addKnob((x, y) => set({ x, y }), save);
  const held = rules.some(one => one.recorded); // in the world that a path was recorded in
  choice.hidden = path.knob.hidden = held;

  // What an address or a kernel says of the state, as far as it can be.
  function adopt() {
    const given = model.get("state");
    for (const key in state) if (isFinite(given[key])) state[key] = +given[key];
    if (!rule()) state.rule = 0;
    if (!LANDSCAPES[state.on]) state.on = 0;
    state.steps = floor(clamp([1, 1000], state.steps));
    redraw();
  }

  function addDials() {
    controls.textContent = notes.textContent = "";
    const keys = [...rule().letters, ...(held ? [] : ["a", "b", "x", "y", "noise", "steps"])];
    sliders = keys.map(key => [key, addDial(controls, dials[key], value => set({ [key]: value }), save)]);
    make(notes, "pre", { tabindex: 0 }, rule().lines);
    for (const note of rule().notes) make(notes, "p", {}, note);
  }

  // The rates over the map, row by row, first coarse, then fine, so that a drag is never held up.
  function* chartingOf({ across, up }, at) {
    for (const wide of [32, 128]) {
      const high = wide * 3 / 4, rates = [];
      let least = Infinity;
      for (let j = 0; j < high; j++, yield) {
        at[up] = mix(dials[up][2], (j + 0.5) / high);
        for (let i = 0; i < wide; i++) {
          at[across] = mix(dials[across][2], (i + 0.5) / wide);
          const pair = spectrum(rule(), at).map(rateOf), rate = max(...pair);
          if (rate < least) [least, lowest] = [rate, { [across]: at[across], [up]: at[up] }];
          rates.push(pair);
        }
      }
      map.paint(wide, high, (i, j) => shade(rates[i + wide * j], (i + j) % 6));
    }
  }

  // Known in closed form, or found before, for the spectrum of the start; else the least of the map, unless
  // that is over a curvature, which is the world's.
  function best() {
    const { linear, up, best } = rule();
    return (state.a === SPEC.state.a && state.b === SPEC.state.b && best) || (linear && up !== "a" && lowest);
  }

  function drawMap() {
    const one = rule(), { across, up, linear } = one, still = { ...state, [across]: 0, [up]: 0 };
    const key = [state.rule, still.a, still.b, ...lettersOf(one, still)].join();
    if (chartOf !== (chartOf = key)) charting = linear && chartingOf(one, still);
    if (!linear) map.sheet.width = 1;
    for (const until = performance.now() + 6; charting && performance.now() < until;) {
      if (charting.next().done) charting = null;
    }
    cancelAnimationFrame(next);
    if (charting) next = requestAnimationFrame(drawMap);
    map.open(dials[across][2], dials[up][2], dials[across][0], dials[up][0]);
    map.moveKnob(state[across], state[up]);
  }

  function drawContours() {
    const { on, a, b, x, y } = state, view = () => path.open(SPEC.reach, 0, ...NAMES);
    view();
    const { xs, ys } = path, height = (i, j) => LANDSCAPES[on].f(mix(xs, i / 119), mix(ys, j / 89), a, b);
    const top = height(0, 0);
    if (contoursOf !== (contoursOf = [on, a, b, ys].join())) {
      path.paint(120, 90, (i, j) => [128, 128, 128, 40 * (1 + floor(12 * sqrt(height(i, j) / top)) % 2)]);
      view();
    }
    path.moveKnob(x, y);
  }

  function draw() {
    drawing = null;
    if (dialsOf !== (dialsOf = state.rule)) addDials();
    ink = getComputedStyle(root).color;
    tabs.forEach((tab, k) => tab.setAttribute("aria-pressed", k === state.rule));
    choice.value = state.on;
    button.hidden = !best();
    map.figure.hidden = !rule().across;
    for (const [key, show] of sliders) show(state[key]);
    if (rule().across) drawMap();
    drawContours();
    const limit = 1.5 * max(0.1, abs(state.x), abs(state.y)), time = [0, state.steps];
    motion.open(time, [-limit, limit], "steps", "θ");
    error.open(time, [-8, 1], "steps", "distance", k => `1e${k}`);
    disc.open(1.2, 0, "real part", "imaginary part");
    disc.line(Array.from({ length: 99 }, (_, k) => [cos(k / 15), sin(k / 15)]), ink, [], 1);
    root.paths = rules.map(one => descend(one, state));
    meaning.textContent = rules.map((one, k) => (rules[1] ? `${one.label}: ` : "") + drawRule(one, root.paths[k])).join(" ");
    clearTimeout(timer);
    timer = setTimeout(() => (spoken.textContent = meaning.textContent), 250); // once it rests
  }

  // The rule that is chosen is drawn through, the others dashed.
  function drawRule(one, points) {
    const chosen = one === rule(), dash = chosen ? [] : [3, 3], directions = one.linear && spectrum(one, state);
    const gapTo = ([u, v]) => hypot(points.at(-1)[0] - u, points.at(-1)[1] - v);
    const minima = LANDSCAPES[state.on].minima ?? [[0, 0]], [goal] = minima.sort((p, q) => gapTo(p) - gapTo(q));
    for (const point of minima) path.dot(point, ink, false);
    path.line(points, ink, dash, 1.5);
    if (chosen) for (const point of points) path.dot(point, ink, true, 2);
    DIRECTIONS.forEach((rgb, i) => {
      const color = `rgb(${rgb})`, over = values => values.map((value, t) => [t, value]);
      const both = (values, errors, dash, width) => {
        motion.line(over(values), color, dash, width);
        error.line(over(errors.map(gap => log10(gap + 1e-99))), color, dash, width);
      };
      for (const { pen, left, wide } of [disc, motion, error]) {
        Object.assign(pen, { fillStyle: color, textAlign: "left" });
        pen.fillText(NAMES[i], left + wide - 48 + 24 * i, 38);
      }
      const gaps = points.map(point => abs(point[i] - goal[i]));
      both(points.map(point => point[i]), gaps, dash);
      if (!directions) return;
      for (const root of directions[i]) disc.dot(root, color, chosen);
      const rate = rateOf(directions[i]);
      if (state.on || state.noise || !chosen || !rate) return;
      // The least envelope C rate^t that holds at every step shown.
      const C = max(...gaps.map((gap, t) => gap / rate ** t)), envelope = gaps.map((_, t) => C * rate ** t);
      for (const sign of [1, -1]) both(envelope.map(y => sign * y), envelope, [6, 4], 1);
    });
    return tell(directions, gapTo(goal), state);
  }

  model.on("change:state", adopt);
  new ResizeObserver(redraw).observe(root);
  adopt();
}
