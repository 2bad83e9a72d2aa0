/* The tab "Thresholds": one threshold that moves along the network's own scores, and everything that
   follows from it. The content comes once; after that nothing asks the server. */

import { el, radios, whenSeen, whenWide } from "../base/dom.js";
import { expit, logit, share, figureText } from "../base/words.js";
import * as drawing from "./curve_drawing.js";
import * as numbers from "./numbers.js";
import { mountSeverity } from "./severity.js";

const WORDS = {
  sensitivity: ["Sensitivity", "of those who have it, called"],
  specificity: ["Specificity", "of those who do not, left alone"],
  ppv: ["PPV", "of those called, have it"],
  npv: ["NPV", "of those not called, do not"],
  f1: ["F1", "sensitivity and PPV in one, 0 to 1"],
};
const KEYS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10,
  Home: -1e6, End: 1e6 };

const range = (interval) => (interval ? `${share(interval[0])} to ${share(interval[1])}` : "no interval");

/** A row of a table of figures: value, a bar with its interval, and both in words. */
function rowOf(name, value, interval) {
  const [title, text] = WORDS[name];
  const head = el("th", { scope: "row" });
  head.append(el("b", { text: title }), el("small", { text }));
  const bar = el("i", { class: "cx-t-bar", "aria-hidden": "true" });
  if (!Number.isNaN(value)) {
    const fill = el("i", { class: "cx-t-value" });
    fill.style.width = `${100 * value}%`;
    bar.append(fill);
  }
  if (interval) {
    const doubt = el("i", { class: "cx-t-range" });
    doubt.style.left = `${100 * interval[0]}%`;
    doubt.style.width = `${100 * (interval[1] - interval[0])}%`;
    bar.append(doubt);
  }
  const figure = el("td", { class: "cx-num", "data-value": name, text: share(value) });
  const last = el("td", { class: "cx-t-interval", "data-interval": name });
  last.append(el("span", { text: range(interval) }), bar);
  const row = el("tr");
  row.append(head, figure, last);
  return row;
}

/**
 * Bring the tab to life. root: holds the HTML of thresholds.html.jinja.
 * load: gives the content; faint: the curve of severity; own: the answer to the visitor's own picture.
 * Returns {state, show, move, set}.
 */
export function mountThresholds(root, { load, faint, own }) {
  const find = (selector) => root.querySelector(selector);
  const part = (name) => find(`[data-part="${name}"]`);
  const grip = part("grip"), axis = part("axis");
  const state = { content: null, group: 0, finding: null, place: 0, prevalence: null, own: null };
  let scale = null, asked = false;

  const group = () => state.content.groups[state.group];
  const curve = () => group().curves[state.finding];
  const value = (given) => figureText(state.content, given);
  const usable = () => Boolean(curve()?.positives && curve().negatives);
  const imagesShare = () => curve().positives / (curve().positives + curve().negatives);

  /** Another finding or other images; the threshold begins at the page's own. */
  function choose(finding, number = state.group) {
    Object.assign(state, { finding, group: number, prevalence: null });
    state.own = own()?.probability[finding] ?? null;
    find("select").value = finding;
    const shown = curve();
    if (shown) state.place = shown.own === null ? numbers.bestPlace(shown) : numbers.placeOf(shown, shown.own);
    find('[data-act="own"]').disabled = !shown || shown.own === null;
    part("meaning").textContent = shown ? numbers.meaningOf(shown, group())
      : `None of the ${group().images.toLocaleString("en")} ${group().title} shows it, or all do: there is no curve.`;
    draw();
  }

  function drawScores() {
    const shown = curve();
    scale = drawing.scaleOf(shown, Math.max(200, axis.clientWidth), state.own);
    const cut = shown.thresholds[state.place];
    drawing.drawAxis(part("plot"), shown, scale, { cut, own: state.own, stored: shown.own, value });
    grip.style.left = `${scale.x(cut)}px`;
    grip.setAttribute("aria-valuemin", "0");
    grip.setAttribute("aria-valuemax", String(shown.thresholds.length - 1));
    grip.setAttribute("aria-valuenow", String(state.place));
    grip.setAttribute("aria-valuetext", `called from ${value(cut)}`);
  }

  /** What the network says of the visitor's own picture at this threshold. */
  function verdict(cut) {
    const title = state.content.titles[state.finding];
    if (state.own === null) return "Open a picture on the tab Radiograph: it then stands on this line.";
    const called = state.own >= cut;
    return `Your picture, ${value(state.own)}: ${called ? "▲ called" : "not called"} ${title}.`;
  }

  function drawPeople() {
    const shown = curve();
    const rates = numbers.measuresOf(numbers.countsAt(shown, state.place));
    const p = state.prevalence ?? imagesShare();
    const { ppv, npv } = numbers.atPrevalence(rates, p);
    const interval = (name) => numbers.intervalAtPrevalence(state.content, shown, name, state.place, p);
    part("values").replaceChildren(rowOf("ppv", ppv, interval("ppv")), rowOf("npv", npv, interval("npv")));
    part("prevalence").textContent = (100 * p).toFixed(p < 0.1 ? 1 : 0);
    const input = find('[data-set="prevalence"]');
    input.value = logit(p);
    input.setAttribute("aria-valuetext", `${(100 * p).toFixed(1)} of 100`);
    const people = numbers.frequencies(rates, p);
    for (const kind of ["tp", "fn", "fp", "tn"]) find(`[data-people="${kind}"]`).textContent = people[kind];
    drawing.drawIcons(part("icons"), people);
    const called = people.tp + people.fp;
    const right = called ? ` (${share(people.tp / called)})` : "";
    part("sentence").textContent = `Of 1,000 people like these, ${people.ill} have it: the network calls `
      + `${people.tp} of them and misses ${people.fn}. Of the ${people.well} others it calls ${people.fp} all the `
      + `same. So of ${called} who are called, ${people.tp} have it${right}.`;
  }

  function draw() {
    const have = usable();
    root.querySelectorAll(".cx-t-card").forEach((card) => { card.hidden = !have; });
    if (!have) return;
    const shown = curve(), cut = shown.thresholds[state.place];
    const counts = numbers.countsAt(shown, state.place), values = numbers.measuresOf(counts);
    const interval = (name) => numbers.intervalAt(state.content, shown, name, state.place);
    drawScores();
    part("cut").textContent = cut >= 1 ? "Nothing is called." : `Called from ${value(cut)}.`;
    part("verdict").textContent = verdict(cut);
    for (const kind in counts) find(`[data-count="${kind}"]`).textContent = counts[kind].toLocaleString("en");
    const rows = Object.keys(WORDS).map((name) => rowOf(name, values[name], interval(name)));
    part("measures").replaceChildren(...rows);
    part("auroc").textContent = shown.auroc === null ? "" : `(area ${shown.auroc.toFixed(2)})`;
    drawing.drawRoc(part("roc"), shown, state.place,
      { sensitivity: interval("sensitivity"), specificity: interval("specificity") });
    drawPeople();
  }

  /** Move the threshold to a place of the curve. */
  function move(place) {
    state.place = Math.min(curve().thresholds.length - 1, Math.max(0, place));
    draw();
  }

  function dragTo(event) {
    const at = event.clientX - axis.getBoundingClientRect().left;
    const wanted = logit(Math.min(1 - 1e-9, Math.max(1e-9, scale.p(at))));
    const { thresholds } = curve();
    const away = (p) => Math.abs((p >= 1 ? logit(scale.p(scale.width - 14)) : logit(p)) - wanted);
    move(thresholds.reduce((best, p, i) => (away(p) < away(thresholds[best]) ? i : best), 0));
  }
  let dragging = false;
  axis.addEventListener("pointerdown", (event) => {
    dragging = true;
    axis.setPointerCapture(event.pointerId);
    dragTo(event);
    grip.focus({ preventScroll: true });
    event.preventDefault();
  });
  axis.addEventListener("pointermove", (event) => dragging && dragTo(event));
  for (const end of ["pointerup", "pointercancel"]) axis.addEventListener(end, () => { dragging = false; });
  grip.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    move(state.place + KEYS[event.key]);
  });

  /** Other settings, as the controls do: set({prevalence: 0.02}); null is the images' own. */
  function set({ prevalence }) {
    state.prevalence = prevalence;
    drawPeople();
  }
  find('[data-set="prevalence"]').addEventListener("input", ({ target }) => {
    set({ prevalence: expit(Number(target.value)) });
  });
  find("select").addEventListener("change", ({ target }) => choose(target.value));
  root.addEventListener("click", (event) => {
    const act = event.target.closest("button")?.dataset.act;
    if (act === "own") move(numbers.placeOf(curve(), curve().own));
    if (act === "best") move(numbers.bestPlace(curve()));
    if (act === "same") set({ prevalence: null });
  });

  /** Show the content; the picture's most probable finding first. */
  function show(content) {
    state.content = content;
    find(".cx-t-wait").hidden = content.groups.length > 0;
    if (!content.groups.length) {
      find(".cx-t-wait").textContent = "This weights file keeps no curve of its validation.";
      return;
    }
    find(".cx-t-body").hidden = false;
    find("select").replaceChildren(...content.findings.map((name) =>
      el("option", { value: name, text: content.titles[name] })));
    const fields = content.groups.map((group, i) =>
      [String(i), `${group.images.toLocaleString("en")} ${group.title}`]);
    const legend = part("groups").querySelector("legend");
    const place = el("span");
    radios(place, "cx-t-group", fields, "0", (value) => choose(state.finding, Number(value)));
    part("groups").replaceChildren(legend, place);
    const first = content.findings.includes("Effusion") ? "Effusion" : content.findings[0];
    choose(own()?.first ?? first);
  }

  async function look() {
    if (state.content) {
      const mine = own()?.probability[state.finding] ?? null;
      if (mine !== state.own) {
        state.own = mine;
        draw();
      }
      return;
    }
    if (asked) return;
    asked = true;
    try {
      show(await load());
    } catch (error) {
      asked = false;
      find(".cx-t-wait").textContent = error.message;
    }
  }
  mountSeverity(part("severity"), faint);
  whenSeen(root, look);
  whenWide(axis, () => state.content && usable() && drawScores());
  return { state, show, move, set, choose, look };
}
