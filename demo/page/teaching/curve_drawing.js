// The pictures of the tab "Thresholds": scores on their axis, the ROC curve, a thousand people.

import { svg } from "../base/dom.js";
import { expit, logit, share } from "../base/words.js";
import * as numbers from "./numbers.js";

const HEIGHT = 132, LINE = 74; // of the axis, and where its line lies, in pixels
const EDGE = 14;
const BINS = 56;
const TICKS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99, 0.999];
const PER_ROW = 50, ICON = 10;

/**
 * A scale from probability to pixels, even in log-odds: most findings are rare, and their scores
 * would all lie at the left edge of an even one.
 */
export function scaleOf(curve, width, own) {
  const inner = curve.thresholds.filter((p) => p > 0 && p < 1).map(logit);
  let [low, high] = [Math.min(...inner) - 0.25, Math.max(...inner) + 0.25];
  // A picture far outside of them stands at the edge.
  if (own > 0 && own < 1) [low, high] = [Math.max(low - 1, Math.min(low, logit(own))), Math.min(high + 1, Math.max(high, logit(own)))];
  const x = (p) => {
    const z = p <= 0 ? low : p >= 1 ? high : Math.min(high, Math.max(low, logit(p)));
    return EDGE + ((z - low) / (high - low)) * (width - 2 * EDGE);
  };
  const p = (at) => expit(low + ((at - EDGE) / (width - 2 * EDGE)) * (high - low));
  return { x, p, width };
}

/** Shares of each group's images in bins along the axis: [{x, width, ill, well}]. */
function binsOf(curve, scale) {
  const step = (scale.width - 2 * EDGE) / BINS;
  const bins = Array.from({ length: BINS }, (_, i) => ({ x: EDGE + i * step, width: step, ill: 0, well: 0 }));
  curve.thresholds.forEach((threshold, i) => {
    const at = Math.min(BINS - 1, Math.max(0, Math.floor((scale.x(threshold) - EDGE) / step)));
    bins[at].ill += curve.true[i] - (curve.true[i + 1] ?? 0);
    bins[at].well += curve.false[i] - (curve.false[i + 1] ?? 0);
  });
  return bins;
}

/** The scores: those with the finding above the line, the others below it. */
export function drawAxis(place, curve, scale, { cut, own, stored, value = share }) {
  const bins = binsOf(curve, scale);
  const most = (of) => Math.max(1, ...bins.map((bin) => bin[of]));
  const [ill, well] = [most("ill"), most("well")];
  const above = LINE - 30, below = HEIGHT - LINE - 20;
  const image = svg("svg", { width: scale.width, height: HEIGHT, "aria-hidden": "true" });
  image.append(svg("rect", { class: "cx-t-called", x: scale.x(cut), y: 16, height: HEIGHT - 34,
    width: Math.max(0, scale.width - scale.x(cut)) }));
  for (const bin of bins) {
    const bar = (name, high, y) => high && image.append(svg("rect", {
      class: name, x: bin.x + 0.5, y, width: Math.max(1, bin.width - 1), height: Math.max(2, high) }));
    const up = (above * bin.ill) / ill, down = (below * bin.well) / well;
    bar("cx-t-ill", up, LINE - Math.max(2, up));
    bar("cx-t-well", down, LINE);
  }
  image.append(svg("line", { class: "cx-t-rule", x1: EDGE, x2: scale.width - EDGE, y1: LINE, y2: LINE }));
  let free = -40;
  for (const tick of TICKS) {
    const x = scale.x(tick);
    if (x <= EDGE + 1 || x >= scale.width - EDGE - 1 || x - free < 44) continue;
    free = x;
    image.append(svg("line", { class: "cx-t-rule", x1: x, x2: x, y1: LINE - 3, y2: LINE + 3 }),
      svg("text", { x, y: HEIGHT - 3, "text-anchor": "middle", text: value(tick) }));
  }
  if (stored !== null) {
    const x = scale.x(stored);
    image.append(svg("line", { class: "cx-t-stored", x1: x, x2: x, y1: 16, y2: HEIGHT - 18 }));
  }
  if (own !== null) {
    // The words, 120 pixels wide, lie where neither the edge nor the threshold's handle cuts them.
    const x = scale.x(own), handle = scale.x(cut) - x;
    const left = x > scale.width - 120 || (x > 130 && handle > 0 && handle < 130);
    image.append(
      svg("path", { class: "cx-t-own", d: `M${x - 7} 17h14l-7 11z` }),
      svg("line", { class: "cx-t-own-line", x1: x, x2: x, y1: 28, y2: LINE }),
      svg("text", { class: "cx-t-own-word", x: left ? x - 10 : x + 10, y: 27,
        "text-anchor": left ? "end" : "start", text: `your picture ${value(own)}` }));
  }
  image.append(
    svg("text", { x: EDGE, y: 11, text: "◄ not called" }),
    svg("rect", { class: "cx-t-ill", x: scale.width / 2 - 66, y: 2, width: 10, height: 10 }),
    svg("text", { x: scale.width / 2 - 52, y: 11, text: "with it" }),
    svg("rect", { class: "cx-t-well", x: scale.width / 2 + 4, y: 2, width: 10, height: 10 }),
    svg("text", { x: scale.width / 2 + 18, y: 11, text: "without" }),
    svg("text", { x: scale.width - EDGE, y: 11, "text-anchor": "end", text: "called ►" }));
  place.replaceChildren(image);
}

/** A square of 100 x 100 with its diagonal, on whose sides values from 0 to `top` are told in percent. */
export function square(label, across, up, top = 1) {
  const image = svg("svg", { viewBox: "-17 -5 124 123", role: "img", "aria-label": label },
    svg("rect", { class: "cx-t-frame", width: 100, height: 100 }),
    svg("path", { class: "cx-t-chance", d: "M0 100L100 0" }),
    svg("text", { x: 50, y: 115.5, "text-anchor": "middle", text: across }),
    svg("text", { x: -12, y: 50, "text-anchor": "middle", transform: "rotate(-90 -12 50)", text: up }));
  for (const place of [0, 50, 100]) {
    const text = `${Math.round(place * top)}`;
    image.append(svg("text", { x: place, y: 107.5, "text-anchor": "middle", text }),
      svg("text", { x: -3, y: 102 - place, "text-anchor": "end", text }));
  }
  return image;
}

/** The ROC curve with the point of a threshold and both intervals there. */
export function drawRoc(place, curve, at, intervals) {
  const xy = (i) => [100 * (curve.false[i] / curve.negatives), 100 * (1 - curve.true[i] / curve.positives)];
  const path = curve.thresholds.map((_, i) => xy(i).map((v) => v.toFixed(2)).join(",")).join(" ");
  const [x, y] = xy(at);
  const { sensitivity, specificity } = intervals;
  const image = square(
    `ROC curve; at this threshold ${share(1 - y / 100)} true positives and ${share(x / 100)} false positives`,
    "false positives, % of those without it", "true positives, % of those with it");
  image.append(svg("polyline", { class: "cx-t-curve", points: path }));
  if (sensitivity) {
    const [low, high] = sensitivity.map((value) => 100 * (1 - value));
    image.append(svg("line", { class: "cx-t-doubt", x1: x, x2: x, y1: low, y2: high }));
  }
  if (specificity) {
    const [low, high] = specificity.map((value) => 100 * (1 - value));
    image.append(svg("line", { class: "cx-t-doubt", x1: low, x2: high, y1: y, y2: y }));
  }
  image.append(svg("circle", { class: "cx-t-point", cx: x, cy: y, r: 3 }));
  place.replaceChildren(image);
}

/** A thousand people: a circle has the finding, a square does not; full is called. */
export function drawIcons(place, counts) {
  const kinds = ["tp", "fn", "fp", "tn"];
  if (!place.firstChild) {
    const rows = numbers.PEOPLE / PER_ROW;
    const image = svg("svg", { viewBox: `0 0 ${PER_ROW * ICON} ${rows * ICON}`, role: "img" });
    for (let i = 0; i < numbers.PEOPLE; i++) {
      image.append(svg("rect", { x: ICON * (i % PER_ROW) + 1.5, y: ICON * Math.floor(i / PER_ROW) + 1.5,
        width: ICON - 3, height: ICON - 3 }));
    }
    place.replaceChildren(image);
  }
  const icons = place.firstChild.children;
  let i = 0;
  for (const kind of kinds) {
    for (let left = counts[kind]; left > 0; left--, i++) {
      if (icons[i].dataset.kind !== kind) {
        icons[i].dataset.kind = kind;
        icons[i].setAttribute("rx", kind === "tp" || kind === "fn" ? (ICON - 3) / 2 : 1);
      }
    }
  }
  place.firstChild.setAttribute("aria-label",
    `1,000 people: ${counts.tp} have it and are called, ${counts.fn} have it and are missed, `
    + `${counts.fp} do not have it and are called, ${counts.tn} do not have it and are left alone`);
}

