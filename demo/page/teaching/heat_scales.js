// Lesson 2: the same map on several scales, its cells, and what other methods make of it.

import { colourTables, el } from "../base/dom.js";
import { hundredths, titleOf, valueText } from "../base/words.js";
import { decodePreview, floatsOf, heatSteps, lookup, render } from "../viewer/drawing.js";
import { cellsOf, evidence } from "../viewer/evidence.js";

/** Each cell as a square: what the network has, before anything is smoothed. */
export function cellSteps({ values, h, w }, box, height, width, top, twoSided) {
  const [left, upper, right, lower] = box, none = twoSided ? 255 : 0;
  const steps = new Uint16Array(height * width).fill(none);
  for (let y = upper; y < lower; y++) {
    const row = Math.min(h - 1, Math.floor(((y - upper) / (lower - upper)) * h));
    for (let x = left; x < right; x++) {
      const column = Math.min(w - 1, Math.floor(((x - left) / (right - left)) * w));
      const strength = Math.max(twoSided ? -1 : 0, Math.min(1, values[row * w + column] / top));
      steps[y * width + x] = none + Math.trunc(strength * 255);
    }
  }
  return steps;
}

export function mountHeat(root, page) {
  const find = (selector) => root.querySelector(selector);
  const part = (name) => find(`[data-part="${name}"]`);
  const state = { answer: null, gray: null, finding: null, top: 8, cells: false };
  let tables = null, turn = 0;

  /** One picture: heat {values, h, w} over the radiograph. */
  function paint(canvas, heat, top, twoSided = false) {
    const { width, height } = state.answer.preview, { box } = state.answer.crop;
    [canvas.width, canvas.height] = [width, height];
    const colours = twoSided ? Object.values(tables.two_sided)[0] : Object.values(tables.one_sided)[0];
    const table = lookup(colours, 0.55, twoSided);
    const make = state.cells ? cellSteps : heatSteps;
    const steps = make(heat, box, height, width, Math.max(top, 1e-9), twoSided);
    const context = canvas.getContext("2d");
    context.putImageData(render({ gray: state.gray, steps, table, width, height }), 0, 0);
    context.strokeStyle = "#fff";
    context.lineWidth = width / 170;
    for (const { finding, box: [x, y, right, lower] } of state.answer.boxes) {
      if (finding !== state.finding) continue;
      context.strokeRect(x * width, y * height, (right - x) * width, (lower - y) * height);
    }
  }

  function draw() {
    const { answer, finding } = state;
    const { values, h, w } = cellsOf(answer, answer.maps, finding);
    const scaled = { values: values.map((value) => value * h * w), h, w };
    const positive = { values: scaled.values.map((value) => Math.max(0, value)), h, w };
    const most = Math.max(...positive.values);
    paint(find('[data-canvas="absolute"]'), positive, state.top);
    paint(find('[data-canvas="stretched"]'), positive, most);
    paint(find('[data-canvas="signed"]'), scaled, state.top, true);
    part("top").textContent = state.top.toFixed(1);
    part("most").textContent = most > 0 ? `full colour at ${most.toFixed(most < 0.1 ? 3 : 1)}` : "no cell speaks for it";
    const drawn = answer.drawn.includes(finding);
    part("says").textContent = `${titleOf(answer, finding)} ${valueText(answer, answer.probability[finding])}, `
      + (drawn ? "drawn (white frame)." : "not drawn here.");
    const sum = evidence(values, answer.bias[finding], answer.logit[finding]).shown;
    part("sum").textContent = `${hundredths(sum.bias)} start + ${hundredths(sum.for)} for − ${hundredths(sum.against)} `
      + `against = ${hundredths(sum.logit)}`;
    part("trust").textContent = answer.trust?.[finding] ?? "How often maps of this finding point into the box was never measured.";
  }

  function choose(finding) {
    state.finding = finding;
    part("methods").replaceChildren();
    find('[data-act="methods"]').hidden = false;
    draw();
  }

  async function chooseExample(name) {
    const mine = ++turn;
    let answer, pixels;
    try {
      answer = { ...(await page.part(`example/${name}`)) };
      ({ pixels } = await decodePreview(answer));
    } catch (error) {
      if (mine === turn) [part("heat-wait").hidden, part("heat-wait").textContent] = [false, error.message];
      return;
    }
    if (mine !== turn) return; // another example was chosen meanwhile
    answer.maps = floatsOf(answer.contributions);
    Object.assign(state, { answer, gray: pixels });
    const select = find('[data-set="finding"]');
    select.replaceChildren(...answer.findings.map((name) => el("option", { value: name,
      text: `${titleOf(answer, name)}${answer.drawn.includes(name) ? " (drawn)" : ""}` })));
    const first = answer.drawn.find((name) => answer.findings.includes(name)) ?? answer.first;
    select.value = first;
    part("heat-wait").hidden = true;
    find(".cx-l-three").hidden = false;
    choose(first);
  }

  async function showMethods() {
    const { answer, finding } = state, place = part("methods");
    const isOld = () => state.answer !== answer || state.finding !== finding;
    place.textContent = "Computing the others; the first time takes some seconds …";
    find('[data-act="methods"]').hidden = true;
    const figures = [];
    try {
      for (const name of answer.methods) {
        const { cells: [h, w], data } = await page.heat(answer.id, finding, name);
        if (isOld()) return;
        const values = floatsOf(data), title = `${name}, heatmap of ${titleOf(answer, finding)}`;
        const canvas = el("canvas", { role: "img", "aria-label": title });
        paint(canvas, { values, h, w }, Math.max(...values) || 1);
        figures.push(el("figure", {}, canvas, el("figcaption", { text: name })));
      }
      place.replaceChildren(...figures);
    } catch (error) {
      if (isOld()) return;
      place.textContent = error.message;
      find('[data-act="methods"]').hidden = false;
    }
  }

  find('[data-set="example"]').addEventListener("change", ({ target }) => chooseExample(target.value));
  find('[data-set="finding"]').addEventListener("change", ({ target }) => choose(target.value));
  find('[data-set="top"]').addEventListener("input", ({ target }) => {
    state.top = Number(target.value);
    draw();
  });
  find('[data-set="cells"]').addEventListener("change", ({ target }) => {
    state.cells = target.checked;
    draw();
  });
  find('[data-act="methods"]').addEventListener("click", showMethods);

  return async () => {
    if (state.answer) return;
    tables = colourTables();
    await chooseExample(find('[data-set="example"]').value);
  };
}
