/* What a score is made of, in order and in words. Nothing here touches the page.

   The logit is exactly bias + what speaks for - what speaks against: the network ends in average
   pooling and one linear layer, so the signed contributions of the cells and the bias add up to it. */

import { hundredths, isPublishers, thresholdName, titleOf, valueText } from "../base/words.js";

/** Findings, the most probable first, and No Finding last. */
export function orderOf(answer) {
  const order = [...answer.findings].sort(
    (a, b) => answer.probability[b] - answer.probability[a],
  );
  const none = answer.no_finding;
  return none && none in answer.probability ? [...order, none] : order;
}

/** `above` or `below` its threshold; empty where it has none. */
function sideOf(answer, name) {
  const threshold = answer.threshold[name] ?? null;
  if (threshold === null) return "";
  return answer.probability[name] >= threshold ? "above" : "below";
}

export function thresholdInWords(answer, name) {
  const side = sideOf(answer, name);
  if (!side) return "no threshold was measured";
  return `${side} ${thresholdName(answer)} of ${valueText(answer, answer.threshold[name])}`;
}

/** Whether a finding reaches its threshold; No Finding above its own is no warning. */
export const isWarning = (answer, name) =>
  sideOf(answer, name) === "above" && name !== answer.no_finding;

/** Signed contributions of one class, float32 (h * w), in logits. */
export function cellsOf(answer, contributions, name) {
  const [h, w] = answer.cells;
  const place = answer.classes.indexOf(name);
  return { values: contributions.subarray(place * h * w, (place + 1) * h * w), h, w };
}

/**
 * What a score is made of.
 *
 * Returns bias, speaksFor, against (at least 0), logit, all in logits; `shown`, the same in whole
 * hundredths, of which bias + for - against is the logit; and whether no cell speaks for it.
 */
export function evidence(cells, bias, logit) {
  let speaksFor = 0, against = 0, none = true;
  for (const value of cells) {
    if (value > 0) [speaksFor, none] = [speaksFor + value, false];
    else against -= value;
  }
  const exact = { bias: 100 * bias, for: 100 * speaksFor, against: 100 * against };
  const shown = { logit: Math.round(100 * logit) };
  for (const term in exact) shown[term] = Math.round(exact[term]);
  // Rounded figures may miss their sum by 0.01. The term that is nearest to the next hundredth
  // takes it; a sum of nothing stays 0.00.
  const sign = { bias: 1, for: 1, against: -1 };
  const missing = () => shown.logit - (shown.bias + shown.for - shown.against);
  for (let left = missing(); left !== 0; left = missing()) {
    const step = Math.sign(left);
    const errors = Object.keys(exact).map((term) => {
      const moved = shown[term] + step * sign[term];
      const allowed = term === "bias" || (exact[term] > 0 && moved >= 0);
      return [allowed ? Math.abs(moved - exact[term]) : Infinity, term, moved];
    });
    const [, term, moved] = errors.sort((a, b) => a[0] - b[0])[0];
    shown[term] = moved;
  }
  return { bias, speaksFor, against, logit, shown, none };
}

/** Where on the scale of logits a probability lies, or null. */
export function logitOf(answer, name, probability) {
  const { slope, bias } = answer.calibration?.[name] ?? { slope: 1, bias: 0 };
  if (!(probability > 0 && probability < 1) || !slope) return null;
  return (Math.log(probability / (1 - probability)) - bias) / slope;
}

export const isCalibrated = (answer, name) => {
  const { slope, bias } = answer.calibration?.[name] ?? { slope: 1, bias: 0 };
  return slope !== 1 || bias !== 0;
};

/** The sentence for a map without any heat; empty for another. */
export function emptyMapSentence(answer, name, sum) {
  if (!sum.none) return "";
  const title = titleOf(answer, name);
  const side = sideOf(answer, name);
  const whose = isPublishers(answer) ? "its publisher's threshold" : "this finding's threshold";
  const limit = side && valueText(answer, answer.threshold[name]);
  const still = side && `, still ${side} ${whose} of ${limit}`;
  return (
    `No cell speaks for ${title}; together they speak against it by ` +
    `${hundredths(sum.shown.against)}; what remains is ` +
    `${valueText(answer, answer.probability[name])}${still}.`
  );
}
