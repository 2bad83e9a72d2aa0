// Lesson 6: one drawn chest without and with a finding, and what the network makes of both.

import { colourTables, radios } from "../base/dom.js";
import { figureText, share } from "../base/words.js";
import { decodePreview, floatsOf, heatSteps, lookup, render } from "../viewer/drawing.js";
import { drawStory } from "./split.js";

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;

/**
 * What a map makes of the change from step 0 to step `at`, as chexnet/evaluation/twin_scores.py has it.
 * twin: part "twin/..." with `values`, its maps as numbers. Returns {rise: of the logit, explained: share of it in
 * touched cells, inside: share of the heat there, chance: share of the cells}; NaN where there is nothing to share.
 */
export function sharesOf({ values, cells: [h, w], touched, logit }, at) {
  const cells = h * w, map = values.subarray(at * cells, (at + 1) * cells);
  const sum = (of) => touched[at].reduce((all, cell) => all + of(cell), 0);
  const rise = logit[at] - logit[0], heat = map.reduce((all, value) => all + Math.max(0, value), 0);
  return {
    rise, explained: sum((cell) => map[cell] - values[cell]) / rise,
    inside: sum((cell) => Math.max(0, map[cell])) / heat, chance: touched[at].length / cells,
  };
}

/** Lines round the touched cells, on a canvas that shows h x w cells. */
function outline(canvas, touched, [h, w]) {
  const context = canvas.getContext("2d"), inside = new Set(touched);
  const x = canvas.width / w, y = canvas.height / h;
  [context.strokeStyle, context.lineWidth] = ["#fff", 1.5];
  context.beginPath();
  const line = (a, b, c, d) => { context.moveTo(a * x, b * y); context.lineTo(c * x, d * y); };
  for (const cell of touched) {
    const row = Math.floor(cell / w), column = cell % w;
    if (!inside.has(cell - w)) line(column, row, column + 1, row);
    if (!inside.has(cell + w)) line(column, row + 1, column + 1, row + 1);
    if (column === 0 || !inside.has(cell - 1)) line(column, row, column, row + 1);
    if (column === w - 1 || !inside.has(cell + 1)) line(column + 1, row, column + 1, row + 1);
  }
  context.stroke();
}

export function mountTwins(root, page) {
  const find = (selector) => root.querySelector(selector);
  const part = (name) => find(`[data-part="${name}"]`);
  const slider = find('[data-set="severity"]'), toggle = find('[data-act="toggle"]');
  const state = { twin: null, at: 0, last: 0 };
  let table = null, turn = 0;

  function paint(name, at, heat) {
    const { twin } = state, canvas = find(`[data-canvas="${name}"]`), { width, height } = twin.pictures[0];
    const [h, w] = twin.cells, map = twin.values.slice(at * h * w, (at + 1) * h * w).map((value) => Math.max(0, value));
    const steps = heat ? heatSteps({ values: map, h, w }, [0, 0, width, height], height, width, twin.top, false) : null;
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").putImageData(render({ gray: twin.gray[at], steps, table, width, height }), 0, 0);
    if (heat) outline(canvas, twin.touched[at], twin.cells);
  }

  function draw() {
    const { twin, at } = state, there = at > 0;
    paint("twin", at, false);
    paint("twin-heat", at, true);
    slider.value = String(at);
    const step = there ? `severity ${twin.severities[at]}` : "not drawn";
    slider.setAttribute("aria-valuetext", step);
    part("step").textContent = there ? `${twin.severities[at]} (0 barely visible, 1 plain)` : step;
    toggle.textContent = there ? `Without ${twin.title}` : `With ${twin.title}`;
    part("twin-value").textContent = figureText(twin, twin.probability[at]);
    part("twin-name").textContent = `${twin.title}, ${step}`;
    const { rise, explained, inside, chance } = sharesOf(twin, at);
    const of = rise > 0 ? `${share(Math.max(0, explained))} of that comes from` : "None of that can be looked for in";
    part("twin-words").textContent = there
      ? `The score rises by ${signed(rise)} logits. ${of} the outlined cells, in which the drawing changed; ${share(inside)} `
        + `of the heat lies there. They are ${share(chance)} of all cells.`
      : "Nothing is drawn, so all heat is about a finding that is not there. Now switch it on.";
    drawStory(part("twin-line"), twin.story, at);
  }

  function move(at) {
    state.at = at;
    if (at) state.last = at;
    draw();
  }

  async function choose(name) {
    const mine = ++turn;
    const wait = part("twins-wait");
    let twin, gray;
    try {
      twin = await page.part(`twin/${name}`);
      gray = await Promise.all(twin.pictures.map(async (preview) => (await decodePreview({ preview })).pixels));
    } catch (error) {
      if (mine === turn) [wait.hidden, wait.textContent] = [false, error.message];
      return;
    }
    if (mine !== turn) return; // another finding was chosen meanwhile
    // All but the first are differences to it, modulo 256.
    for (const pixels of gray.slice(1)) for (let i = 0; i < pixels.length; i++) pixels[i] += gray[0][i];
    const values = floatsOf(twin.maps);
    const story = {
      calibrated: twin.calibrated, threshold: twin.threshold, values: twin.probability,
      drawn: twin.severities.map((severity) => severity > 0), names: twin.severities.map((s) => (s ? String(s) : "not drawn")),
    };
    state.twin = { ...twin, gray, values, story, top: Math.max(...values) };
    slider.max = String(gray.length - 1);
    wait.hidden = true;
    find(".cx-l-play-body").hidden = false;
    state.last = gray.length - 1;
    move(Math.min(state.at, state.last));
  }

  slider.addEventListener("input", () => move(Number(slider.value)));
  toggle.addEventListener("click", () => move(state.at ? 0 : state.last));
  return async () => {
    if (state.twin) return;
    table = lookup(Object.values(colourTables().one_sided)[0], 0.55);
    const names = part("twins").dataset.names.split(" ");
    radios(part("twins"), "cx-l-twins", names.map((name) => [name, name.replaceAll("_", " ")]), names[0], choose);
    await choose(names[0]);
  };
}
