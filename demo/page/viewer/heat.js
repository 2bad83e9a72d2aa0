// What is drawn over the radiograph for the settings of the moment, and what its scale means.

import { cellsOf } from "./evidence.js";

/** The method that is exact and needs no request: the first one. */
export const isLocal = (answer, method) => method === answer.methods[0];

/**
 * What is drawn over the radiograph: {heat: {values, h, w}, top, twoSided, key}, or null while
 * another method's map is awaited. Values of the local method: what the logit, less its bias,
 * would be if every cell looked like this one.
 */
export function heatOf(answer, maps, { finding, method, scale }) {
  if (!isLocal(answer, method)) {
    const heat = maps.get(`${finding} ${method}`);
    return heat ? { heat, top: 1, twoSided: false, key: `${finding} ${method}` } : null;
  }
  const { values, h, w } = cellsOf(answer, answer.maps, finding);
  const twoSided = scale.startsWith("signed");
  const mean = scale === "signed-mean" && answer.means
    ? cellsOf(answer, answer.means, finding).values : null;
  const shown = values.map((value, i) => {
    const signed = mean ? Math.fround(value - mean[i]) : value;
    return (twoSided ? signed : Math.max(0, signed)) * h * w;
  });
  const top = scale === "stretched" ? Math.max(...shown) : answer.top;
  return { heat: { values: shown, h, w }, top, twoSided, key: `${finding} ${scale}` };
}

/** The words of the legend: {low, high, unit}. */
export function legendOf(answer, settings, drawn) {
  if (!isLocal(answer, settings.method)) {
    return { low: "0", high: "1", unit: "relative to the strongest cell; this method has no unit" };
  }
  const unit = "logits, if every cell looked like this one";
  const top = answer.top.toFixed(0);
  if (settings.scale === "stretched") {
    const high = drawn.top.toFixed(drawn.top < 0.095 ? 3 : 1);
    return { low: "0", high, unit: `${unit}; this map's own greatest` };
  }
  if (settings.scale === "signed") {
    return { low: `−${top}`, high: `+${top}`, unit: `${unit}: blue against, yellow for` };
  }
  if (settings.scale === "signed-mean") {
    const mean = "logits less (blue) or more (yellow) than the mean map of the validation images";
    return { low: `−${top}`, high: `+${top}`, unit: mean };
  }
  return { low: "0", high: `${top}+`, unit };
}

/** Where a map is strongest, in words. */
export function placeOf({ values, h, w }) {
  const at = values.indexOf(Math.max(...values));
  const third = (index, n) => Math.min(2, Math.floor((3 * index) / n));
  const height = ["upper", "middle", "lower"][third(Math.floor(at / w), h)];
  const side = ["left", "centre", "right"][third(at % w, w)];
  return `strongest in the ${height} ${side} of the picture`;
}
