// What the page says about the picture, and the values that its controls show.

import { titleOf, valueText } from "../base/words.js";
import { gradient } from "./drawing.js";
import { isLocal, legendOf, placeOf } from "./heat.js";

// Settings between 0 and 1 that are shown in percent.
export const PERCENT = new Set(["opacity", "level", "window"]);
const NEVER = "How often heatmaps of this finding hit the right place was never measured.";

const partOf = (root) => (name) => root.querySelector(`[data-part="${name}"]`);

/** Show the settings on the controls. */
export function reflect(root, state) {
  for (const control of root.querySelectorAll("[data-set]")) {
    const name = control.dataset.set;
    if (state[name] !== null) control.value = state[name];
    const output = control.parentElement.querySelector("output");
    if (output && PERCENT.has(name)) output.textContent = `${Math.round(100 * state[name])} %`;
  }
  for (const radio of root.querySelectorAll('input[name="cx-view"]')) {
    radio.checked = radio.value === state.view;
  }
  for (const name of ["invert", "frame"]) {
    root.querySelector(`[data-tool="${name}"]`).setAttribute("aria-pressed", String(state[name]));
  }
}

/** The gate's verdict with the ways on. */
export function describeGate(root, gate) {
  const box = root.querySelector(".cx-gate");
  box.hidden = gate.fine;
  box.setAttribute("role", gate.open ? "status" : "alert");
  partOf(root)("gate-word").textContent = gate.open ? "Shown all the same." : "Wait.";
  partOf(root)("gate-message").textContent = gate.message;
  root.querySelector(".cx-acts").hidden = gate.open;
  root.querySelector('[data-act="correct"]').hidden = !gate.correctable;
}

/** Whether the network saw all of the picture, so that a frame round it would say nothing. */
function seesAll({ preview: { width, height }, crop: { box } }) {
  const [left, top, right, bottom] = box;
  return left <= 0 && top <= 0 && right >= width && bottom >= height;
}

/** Put the frame of what the network saw over the picture. */
export function placeFrame(frame, { preview: { width, height }, crop: { box } }) {
  const [left, top, right, bottom] = box;
  const share = (value, whole) => `${(100 * value) / whole}%`;
  Object.assign(frame.style, {
    left: share(left, width), top: share(top, height),
    width: share(right - left, width), height: share(bottom - top, height),
  });
}

// Name, probability and method on the picture, and the same for who cannot see it.
function captionOf({ answer, finding, method, view }, drawn) {
  const title = titleOf(answer, finding);
  const start = `${answer.example ? "Drawn example · " : ""}${title} ${valueText(answer, answer.probability[finding])}`;
  if (!drawn) return { chip: `${start} · ${method} …`, alt: "The radiograph" };
  const empty = !drawn.twoSided && !drawn.heat.values.some((value) => value > 0);
  const chip = empty ? `${start} · no cell speaks for it` : `${start} · ${method}`;
  if (view === "plain") return { chip, alt: "The radiograph" };
  const place = empty ? "no cell speaks for it" : placeOf(drawn.heat);
  return { chip, alt: `The radiograph with the ${method} heatmap of ${title}; ${place}` };
}

/**
 * Caption, legend, trust, and which controls have a meaning.
 * drawn: see `heatOf`, null for none; drawable: whether there is a canvas to draw on.
 */
export function describe(root, state, { drawn, tables, drawable }) {
  const { answer } = state;
  const part = partOf(root);
  const open = Boolean(answer?.gate.open);
  const { chip, alt } = open ? captionOf(state, drawn) : { chip: "", alt: "The radiograph" };
  part("chip").textContent = chip;
  part("chip").hidden = !open;
  root.querySelector("canvas").setAttribute("aria-label", alt);
  root.querySelector(".cx-handle").hidden = !open || state.view !== "compare" || !drawable;
  root.querySelector(".cx-seen").hidden = !open || !state.frame || seesAll(answer);
  if (!open) return;
  const twoSided = Boolean(drawn?.twoSided);
  const colours = twoSided ? Object.values(tables.two_sided)[0] : tables.one_sided[state.colours];
  const legend = legendOf(answer, state, drawn);
  for (const name of ["low", "high", "unit"]) part(name).textContent = legend[name];
  for (const name of ["gradient", "unit"]) part(name).title = legend.unit;
  part("gradient").style.background = gradient(colours, state.opacity, twoSided);
  const trust = answer.trust?.[state.finding];
  part("trust").textContent = part("trust").title = trust ? `Measured: ${trust}` : NEVER;
  root.querySelector('[data-set="scale"]').disabled = !isLocal(answer, state.method);
  root.querySelector('[data-set="colours"]').disabled = twoSided;
  root.querySelector('option[value="signed-mean"]').disabled = !answer.means;
}
