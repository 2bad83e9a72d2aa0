// The list of findings, and why the chosen one has its score.

import { el } from "../base/dom.js";
import { hundredths, thresholdName, titleOf, valueName, valueText } from "../base/words.js";
import { emptyMapSentence, isCalibrated, isWarning, logitOf, orderOf, thresholdInWords } from "./evidence.js";

function row(answer, name, chosen) {
  const value = answer.probability[name];
  const threshold = answer.threshold[name] ?? null;
  const thresholdText = thresholdInWords(answer, name);
  const over = isWarning(answer, name);
  const fill = el("i", { class: "cx-fill" });
  const track = el("span", { class: "cx-track", "aria-hidden": "true" }, fill);
  fill.style.width = `${100 * value}%`;
  if (threshold !== null) {
    track.append(el("i", { class: "cx-tick" }));
    track.lastChild.style.left = `${100 * threshold}%`;
  }
  return el(
    "div",
    {
      role: "option",
      class: `cx-row${over ? " cx-over" : ""}`,
      "data-finding": name,
      "aria-selected": String(chosen),
      tabindex: chosen ? "0" : "-1",
      title: `${titleOf(answer, name)}: ${valueText(answer, value)}, ${thresholdText}`,
      "aria-label": `${titleOf(answer, name)}, ${valueText(answer, value)}, ${thresholdText}`,
    },
    // A shape as well as a colour says that a finding reaches its threshold.
    el("span", { class: "cx-mark", "aria-hidden": "true", text: over ? "▲" : "" }),
    el("span", { class: "cx-name", text: titleOf(answer, name) }),
    track,
    el("span", { class: "cx-value", text: valueText(answer, value) }),
  );
}

/** Fill the listbox. The rows' `aria-selected` and `tabindex` are moved by `choose`. */
export function drawList(list, answer, chosen) {
  const order = orderOf(answer);
  list.replaceChildren(...order.map((name) => row(answer, name, name === chosen)));
  list.classList.toggle("cx-with-none", order.at(-1) === answer.no_finding);
}

const rowOf = (list, name) => [...list.children].find((option) => option.dataset.finding === name);

/** Select a row; with `focus` the keyboard goes there too. */
export function choose(list, name, focus = false) {
  for (const option of list.children) {
    const chosen = option.dataset.finding === name;
    option.setAttribute("aria-selected", String(chosen));
    option.tabIndex = chosen ? 0 : -1;
  }
  if (focus) rowOf(list, name)?.focus();
}

/** Clicks and keys of the listbox; selection follows the focus, since a heatmap costs nothing. */
export function listen(list, onChoose) {
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[data-finding]");
    if (option) onChoose(option.dataset.finding, true);
  });
  list.addEventListener("keydown", (event) => {
    const rows = [...list.children];
    const at = rows.indexOf(event.target.closest("[data-finding]"));
    const last = rows.length - 1;
    const next = {
      ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, Enter: at, " ": at,
    }[event.key];
    if (at < 0 || next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    onChoose(rows[Math.min(last, Math.max(0, next))].dataset.finding, true);
  });
}

const LOGITS = "in logits: the scale on which the network adds; +1 multiplies the odds by 2.7";

/**
 * The line of figures: start + for - against = score -> probability; of a network that was not
 * calibrated logit -> score.
 */
export function evidenceLine(answer, name, sum) {
  const { shown } = sum;
  const term = (kind, word, title, text = hundredths(shown[kind])) =>
    el("span", { class: `cx-term cx-term-${kind}`, title },
      el("small", { text: `${word} ` }), el("b", { "data-term": kind, text }));
  const logits = (kind, word, title) => term(kind, word, `${title}, ${LOGITS}`);
  const calibrated = valueName(answer) === "probability";
  const after = isCalibrated(answer, name)
    ? "The probability after calibration on validation images"
    : calibrated
      ? "The probability: the logistic function of the score"
      : "The logistic function of the logit: no probability, because nobody calibrated it";
  const start =
    "Bias of the network for this finding, read from the weights; it is not how often it occurs";
  return [
    logits("bias", "start", start), " + ",
    logits("for", "speaks for", "Sum of all cells that speak for the finding"), " − ",
    logits("against", "speaks against", "Sum of all cells that speak against the finding"), " = ",
    logits("logit", calibrated ? "score" : "logit", "The network's score (logit)"), " → ",
    term("probability", valueName(answer), after, valueText(answer, answer.probability[name])),
  ];
}

// Two lanes on one scale of logits: up from the bias by what speaks for it, back by what speaks
// against it; where the second lane ends is the score.
function evidenceBar(answer, name, sum) {
  const peak = sum.bias + sum.speaksFor;
  const threshold = answer.threshold[name] ?? null;
  const needed = threshold === null ? null : logitOf(answer, name, threshold);
  const ends = [0, sum.bias, peak, sum.logit];
  if (needed !== null && Math.abs(needed) < 20) ends.push(needed);
  const low = Math.min(...ends), span = Math.max(...ends) - low || 1;
  const place = (value) => `${(100 * (value - low)) / span}%`;
  const part = (kind, from, to, title) => {
    const strip = el("i", { class: `cx-part cx-part-${kind}`, title, "data-part": kind });
    strip.style.left = place(Math.min(from, to));
    strip.style.width = `${(100 * Math.abs(to - from)) / span}%`;
    strip.hidden = to === from;
    return strip;
  };
  const line = (kind, at, title) => {
    const mark = el("i", { class: `cx-line cx-line-${kind}`, title });
    mark.style.left = place(at);
    return mark;
  };
  const bar = el("div", { class: "cx-sum", "aria-hidden": "true" },
    line("zero", 0, `0: ${valueName(answer)} one half, before calibration`),
    part("for", sum.bias, peak, `speaks for it: ${hundredths(sum.shown.for)} logits`),
    part("against", peak, sum.logit, `speaks against it: ${hundredths(sum.shown.against)} logits`),
    line("score", sum.logit, `score: ${hundredths(sum.shown.logit)} logits`));
  const limit = `${thresholdName(answer).slice(4)}: ${valueText(answer, threshold)}`;
  if (ends.length > 4) bar.append(line("threshold", needed, limit));
  return bar;
}

/** Everything that is said about the chosen finding, into `box`. */
export function drawDetails(box, answer, name, sum) {
  const over = isWarning(answer, name);
  const thresholdText = `${over ? "▲ " : ""}${thresholdInWords(answer, name)}`;
  const head = el("h3", {},
    el("span", { text: titleOf(answer, name) }),
    el("b", { text: valueText(answer, answer.probability[name]) }),
    el("small", { class: over ? "cx-above" : null, text: thresholdText }));
  const empty = emptyMapSentence(answer, name, sum);
  box.replaceChildren(
    head,
    el("p", { class: "cx-note", text: answer.notes?.[name] ?? "" }),
    el("p", { class: "cx-evidence" }, ...evidenceLine(answer, name, sum)),
    evidenceBar(answer, name, sum),
    ...(empty ? [el("p", { class: "cx-empty-map", text: empty })] : []),
  );
}
