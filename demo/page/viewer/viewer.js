/* The viewer: one answer of the server, and everything that a visitor does with it, here.

   No control asks the server, but for the heatmap methods of the grad-cam package. */

import { colourTables, el } from "../base/dom.js";
import { save as saveFile } from "./downloads.js";
import { decodePreview, floatsOf, heatSteps, lookup, render, windowTable, windowed } from "./drawing.js";
import { cellsOf, evidence, orderOf } from "./evidence.js";
import { choose as select, drawDetails, drawList, listen } from "./findings.js";
import { heatOf, isLocal, legendOf } from "./heat.js";
import {
  PERCENT, describe as describeState, describeGate, placeFrame, reflect as reflectState,
} from "./labels.js";
import { makeStage } from "./stage.js";

/** Milliseconds of the last drawing, for the tests: `steps` to enlarge a heatmap, `draw` for all of a
 * drawing, `frame` from the wish to the end of the drawing. */
export const timings = { steps: 0, draw: 0, frame: 0 };

const DEFAULTS = {
  view: "heatmap", scale: "absolute", opacity: 0.5, level: 0.5, window: 1, invert: false, frame: true,
};

const optionOf = (name) => el("option", { value: name, text: name });

/**
 * Bring a viewer to life. root: holds the HTML of shell.html.jinja; hooks: {onMethod(finding,
 * method, id of the answer), onGate("correct" or "anyway")}.
 */
export function mount(root, hooks = {}) {
  root.id ||= "cx-viewer";
  const find = (selector) => root.querySelector(selector);
  const part = (name) => find(`[data-part="${name}"]`);
  const shell = find(".cx-shell"), list = find("#cx-findings"), canvas = find("canvas");
  const tables = colourTables();
  const twoSidedTable = Object.values(tables.two_sided)[0];
  const context = canvas.getContext("2d", { alpha: false });
  const colourMaps = Object.keys(tables.one_sided);
  const state = { ...DEFAULTS, colours: colourMaps[0], finding: null, method: null, answer: null };
  // Made anew only when what they depend on changes.
  let pixels = null, bits = 8, gray = null, table = null, image = null, steps = new Map();
  const keys = { gray: "", table: "" };
  const maps = new Map(); // of other methods
  let turn = 0, wished = 0, hidden = false, note = "";
  const waiting = [];

  const stage = makeStage(
    { stage: find(".cx-stage"), layer: find(".cx-layer"), canvas, handle: find(".cx-handle") },
    {
      moved({ zoom }) {
        part("zoom").textContent = `${Math.round(100 * zoom)} %`;
        if (state.view === "compare") wish();
      },
      split: () => wish(),
      hide(now) {
        if (now === hidden) return;
        hidden = now;
        wish();
      },
    },
  );

  const describe = () =>
    describeState(root, state, { drawn: drawnHeat(), tables, drawable: Boolean(context) });
  const reflect = () => reflectState(root, state);
  const isOpen = () => Boolean(state.answer?.gate.open);
  const drawnHeat = () => (isOpen() ? heatOf(state.answer, maps, state) : null);

  function stepsOf(drawn) {
    if (!steps.has(drawn.key)) {
      const from = performance.now();
      const { heat, top, twoSided } = drawn;
      const { width, height } = canvas;
      const { box } = state.answer.crop;
      steps.set(drawn.key, heatSteps(heat, box, height, width, top, twoSided));
      timings.steps = performance.now() - from;
    }
    return steps.get(drawn.key);
  }

  // The other findings' maps while the browser has nothing to do: each takes some 5 ms, and the
  // next choice then is in the next frame on a slow machine too.
  function prepare(mine) {
    const later = window.requestIdleCallback ?? ((task) => setTimeout(task, 50));
    later(() => {
      const { answer, scale } = state;
      if (mine !== turn || !isOpen() || !pixels || !isLocal(answer, state.method)) return;
      const next = orderOf(answer).find((name) => !steps.has(`${name} ${scale}`));
      if (!next) return;
      stepsOf(heatOf(answer, maps, { ...state, finding: next }));
      prepare(mine);
    });
  }

  /** Draw now. With `plain` the radiograph alone. Returns the ImageData, or null without pixels. */
  function draw(plain = hidden || state.view === "plain") {
    if (!pixels || !context) return null;
    const from = performance.now();
    const wanted = `${state.level} ${state.window} ${state.invert}`;
    if (keys.gray !== wanted) {
      const shades = windowTable(bits, state.level, state.window, state.invert);
      gray = windowed(pixels, shades, gray ?? undefined);
      keys.gray = wanted;
    }
    const drawn = plain ? null : drawnHeat();
    if (drawn) {
      const look = drawn.twoSided ? `two ${state.opacity}` : `${state.colours} ${state.opacity}`;
      if (keys.table !== look) {
        const colours = drawn.twoSided ? twoSidedTable : tables.one_sided[state.colours];
        table = lookup(colours, state.opacity, drawn.twoSided);
        keys.table = look;
      }
    }
    const { width, height } = canvas;
    const split = state.view === "compare" ? stage.splitColumn(width) : 0;
    const heat = drawn && stepsOf(drawn);
    image = render({ gray, steps: heat, table, width, height, split, into: image });
    context.putImageData(image, 0, 0);
    timings.draw = performance.now() - from;
    return image;
  }

  /** Draw in the next frame, however often it is asked for until then. */
  function wish() {
    if (wished) return;
    const asked = performance.now();
    wished = requestAnimationFrame(() => {
      wished = 0;
      draw();
      timings.frame = performance.now() - asked;
      for (const done of waiting.splice(0)) done();
    });
  }

  /** A promise of the next drawing. */
  const settled = () => new Promise((done) => { waiting.push(done); wish(); });

  /** Change settings, as the controls do: set({scale: "signed", opacity: 0.7}). */
  function set(changes) {
    const { answer } = state;
    const before = state.scale;
    Object.assign(state, changes);
    if (isOpen()) {
      if (state.scale === "signed-mean" && !answer.means) state.scale = "signed";
      if ("method" in changes || "finding" in changes) {
        problem();
        if (!heatOf(answer, maps, state)) hooks.onMethod?.(state.finding, state.method, answer.id);
      }
    }
    if (state.scale !== before) {
      steps = new Map();
      prepare(turn);
    }
    reflect();
    describe();
    wish();
  }

  /** Another finding: list, picture and figures. */
  function choose(finding, focus = false) {
    const { answer } = state;
    select(list, finding, focus);
    set({ finding });
    const cells = cellsOf(answer, answer.maps, finding).values;
    const sum = evidence(cells, answer.bias[finding], answer.logit[finding]);
    drawDetails(part("details"), answer, finding, sum);
  }

  /** Say why the newest choice is not shown; it stays until another picture is. */
  function refuse(text) {
    note = text;
    problem();
  }

  // A passing message, or without one what holds for this picture as a whole.
  function problem(text = "") {
    part("problem").textContent = text || note;
    part("problem").hidden = !(text || note);
  }

  /** Show an answer. Resolves when it is drawn. */
  async function show(answer) {
    const mine = ++turn;
    let decoded = { pixels: null, bits: 8 };
    if (context) decoded = await decodePreview(answer);
    if (mine !== turn) return; // another picture came meanwhile
    ({ pixels, bits } = decoded);
    const { width, height } = answer.preview;
    gray = image = null;
    keys.gray = "";
    steps = new Map();
    maps.clear();
    const open = answer.gate.open;
    state.answer = { ...answer };
    if (open) {
      state.answer.maps = floatsOf(answer.contributions);
      state.answer.means = answer.mean_contributions ? floatsOf(answer.mean_contributions) : null;
    }
    shell.dataset.state = open ? "open" : "gate";
    describeGate(root, answer.gate);
    note = "";
    part("facts").textContent = answer.facts ?? "";
    find(".cx-placeholder").hidden = true;
    find(".cx-layer").hidden = false;
    [canvas.width, canvas.height] = [width, height];
    if (!pixels) withoutCanvas(answer);
    problem();
    stage.picture(width, height);
    const method = open ? answer.methods[0] : null;
    Object.assign(state, { level: 0.5, window: 1, invert: false, finding: null, method });
    list.replaceChildren();
    part("details").replaceChildren();
    if (open) {
      placeFrame(find(".cx-seen"), answer);
      prepare(mine);
      const methods = answer.methods.map(optionOf);
      if (answer.more_methods) {
        methods.push(el("option", { disabled: true, text: `Others ${answer.more_methods}` }));
      }
      find('[data-set="method"]').replaceChildren(...methods);
      drawList(list, answer, answer.first);
      choose(answer.first);
    } else {
      reflect();
      describe();
    }
    return settled();
  }

  // A browser without a canvas still shows the radiograph, the list and the figures.
  function withoutCanvas(answer) {
    const { encoding, data } = answer.preview;
    const plain = part("plain");
    plain.hidden = encoding !== "png";
    if (!plain.hidden) plain.src = `data:image/png;base64,${data}`;
    canvas.hidden = true;
    note = "This browser cannot draw the heatmap. The figures beside it are complete.";
  }

  /** Back to the empty page. */
  function clear() {
    turn++;
    pixels = null;
    Object.assign(state, { answer: null, finding: null, method: null });
    shell.dataset.state = "empty";
    find(".cx-gate").hidden = find(".cx-layer").hidden = true;
    find(".cx-placeholder").hidden = false;
    list.replaceChildren();
    part("details").replaceChildren();
    part("facts").textContent = note = "";
    problem();
    describe();
  }

  // An answer of the server to an older picture comes too late; without an id it is trusted.
  const isLate = (id) => !isOpen() || (id !== undefined && id !== state.answer.id);

  /** The map of another method: {cells: [h, w], data: base64 float32, id: of its answer}. */
  function setMap(finding, method, { cells: [h, w], data, id }) {
    if (isLate(id)) return;
    maps.set(`${finding} ${method}`, { values: floatsOf(data), h, w });
    steps.delete(`${finding} ${method}`);
    describe();
    wish();
  }

  /** Say why a method's map did not come, and show the exact one again. */
  function showMethodError(text, id) {
    if (isLate(id)) return;
    set({ method: state.answer.methods[0] });
    problem(text);
  }

  const tools = {
    in: () => stage.zoomBy(1.25),
    out: () => stage.zoomBy(0.8),
    fit: () => stage.fit(),
    invert: () => set({ invert: !state.invert }),
    frame: () => set({ frame: !state.frame }),
    reset() {
      const { frame, view } = state;
      set({ ...DEFAULTS, colours: colourMaps[0], frame, view });
    },
    full() {
      if (document.fullscreenElement) document.exitFullscreen();
      else shell.requestFullscreen();
    },
  };
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { tool, act, save } = button.dataset;
    if (tool) tools[tool]?.();
    if (act) hooks.onGate?.(act);
    if (save && isOpen()) saveFile(save, snapshot());
  });
  root.addEventListener("input", ({ target }) => {
    if (target.name === "cx-view") set({ view: target.value });
    const name = target.dataset?.set;
    if (name) set({ [name]: PERCENT.has(name) ? Number(target.value) : target.value });
  });
  listen(list, choose);
  find('[data-set="colours"]').replaceChildren(...colourMaps.map(optionOf));

  /** What the downloads are made of: what is on the screen. */
  function snapshot() {
    const drawn = drawnHeat();
    const words = drawn ? legendOf(state.answer, state, drawn) : null;
    const css = part("gradient").style.background;
    return {
      answer: state.answer, state: { ...state, zoom: stage.view.zoom }, legend: words, css,
      trust: part("trust").textContent, template: find("template[data-report]"),
      visible: stage.visible(), canvas: pixels ? canvas : null, drawn: Boolean(drawn),
      draw: (plain) => { draw(plain); return canvas; },
    };
  }

  find('[data-tool="full"]').hidden = !document.fullscreenEnabled;
  reflect();
  describe();
  return { show, setMap, showMethodError, refuse, clear, set, choose, settled, stage, state };
}
