// Lesson 3: whether probabilities mean what they say, and what another base rate makes of them.

import { el, radios, svg } from "../base/dom.js";
import { expit, logit, share } from "../base/words.js";
import { square } from "./curve_drawing.js";
import * as numbers from "./numbers.js";

/**
 * The probability in people of whom a share `to` has it, of one that holds where a share `from` has
 * it: the likelihood of the picture stays, the odds before it change.
 */
export const moved = (p, from, to) => expit(logit(p) + logit(to) - logit(from));

/** Bins of a calibration curve: [mean probability, share that has it, images]. */
function drawBins(place, bins) {
  const most = Math.max(0.05, ...bins.flatMap(([given, observed]) => [given, observed]));
  const top = Math.min(1, Math.ceil(most * 10 + 0.2) / 10);
  const at = (value) => (100 * value) / top;
  const image = square(
    bins.map(([given, observed, count]) => `said ${share(given)}, had it ${share(observed)} of ${count}`).join("; "),
    "the network says, %", "have it, %", top);
  image.append(
    svg("polyline", { class: "cx-t-curve", points: bins.map(([x, y]) => `${at(x)},${100 - at(y)}`).join(" ") }));
  for (const [x, y, count] of bins) {
    const dot = svg("circle", { class: "cx-t-point", cx: at(x), cy: 100 - at(y), r: 2.2 });
    dot.append(svg("title", { text: `${count} answers: said ${share(x)}, had it ${share(y)}` }));
    image.append(dot);
  }
  place.replaceChildren(image);
}

export function mountProbability(root, page) {
  const find = (selector) => root.querySelector(selector);
  const part = (name) => find(`[data-part="${name}"]`);
  const state = { groups: null, curves: null, group: 0, finding: "all", p: 0.3, to: null };

  const baseOf = () => {
    const bins = state.groups[state.group].bins[state.finding];
    const sum = (of) => bins.reduce((all, bin) => all + of(bin), 0);
    return sum(([, observed, count]) => observed * count) / sum(([, , count]) => count);
  };

  function drawRooms() {
    const base = baseOf(), usable = base > 0 && base < 1 && state.curves.calibrated !== false;
    part("rooms").hidden = !usable;
    if (!usable) return;
    const to = state.to ?? base;
    part("said").textContent = share(state.p);
    part("room").textContent = share(to);
    find('[data-set="said"]').value = logit(state.p);
    find('[data-set="said"]').setAttribute("aria-valuetext", share(state.p));
    find('[data-set="room"]').value = logit(to);
    find('[data-set="room"]').setAttribute("aria-valuetext", share(to));
    const now = moved(state.p, base, to);
    part("base").textContent = share(base);
    part("now").textContent = share(now);
    part("now-bar").style.width = `${100 * now}%`;
    const people = Math.round(100 * now);
    part("now-words").textContent = `Of 100 people there with such a picture, about ${people} have it and ${100 - people} do not.`;
    const curve = state.curves?.groups[state.group]?.curves[state.finding];
    const place = curve && curve.own !== null ? numbers.placeOf(curve, curve.own) : null;
    if (place === null) {
      part("called").textContent = "Choose one finding to see what the page's threshold does there.";
      return;
    }
    const rates = numbers.measuresOf(numbers.countsAt(curve, place));
    const { tp, fp, fn } = numbers.frequencies(rates, to);
    part("called").textContent = `At the page's threshold the network calls ${tp + fp} of 1,000 people there: `
      + `${tp} of them have it, ${fp} do not; ${fn} are missed.`;
  }

  function draw() {
    const group = state.groups[state.group], bins = group.bins[state.finding];
    drawBins(part("bins"), bins);
    const count = bins.reduce((all, [, , n]) => all + n, 0);
    part("of").textContent = `${count.toLocaleString("en")} answers for ${group.images.toLocaleString("en")} `
      + `${group.title}, in ${bins.length} bins of as many each.`
      + (state.curves.calibrated === false ? " Nobody calibrated this network: they are scores, not chances." : "");
    drawRooms();
  }

  find('[data-set="said"]').addEventListener("input", ({ target }) => { state.p = expit(Number(target.value)); drawRooms(); });
  find('[data-set="room"]').addEventListener("input", ({ target }) => { state.to = expit(Number(target.value)); drawRooms(); });
  find('[data-set="which"]').addEventListener("change", ({ target }) => {
    state.finding = target.value;
    state.to = null;
    const own = page.own();
    if (own?.probability[state.finding]) state.p = Math.min(0.99, Math.max(0.001, own.probability[state.finding]));
    draw();
  });
  root.addEventListener("click", (event) => {
    const room = event.target.closest("button")?.dataset.room;
    if (!room) return;
    state.to = room === "base" ? null : Number(room);
    drawRooms();
  });

  return async () => {
    if (state.groups) return;
    const groups = await page.part("calibration");
    if (!groups.length) {
      part("probability-wait").textContent = "This weights file keeps no scores of its validation.";
      return;
    }
    Object.assign(state, { curves: await page.part("thresholds"), groups });
    part("probability-wait").hidden = true;
    find(".cx-l-play-body").hidden = false;
    const kinds = groups.map((group, i) => [String(i), group.title]);
    radios(part("kinds"), "cx-l-kinds", kinds, "0", (value) => { state.group = Number(value); state.to = null; draw(); });
    const names = Object.keys(state.groups[0].bins).filter((name) => name !== "all");
    find('[data-set="which"]').replaceChildren(el("option", { value: "all", text: "all findings" }),
      ...names.map((name) => el("option", { value: name, text: name.replaceAll("_", " ") })));
    draw();
  };
}
