// What a reader says of a case: findings, boxes, sureness; later the network's bars beside them.

import { el } from "../base/dom.js";
import { valueText } from "../base/words.js";

/**
 * The form. root: holds reading.html.jinja; boxes: of makeBoxes; on: {changed(), map(name)}.
 */
export function makeForm(root, boxes, on) {
  const part = (name) => root.querySelector(`[data-r="${name}"]`);
  const list = part("findings");
  const ticks = [...list.querySelectorAll('input[type="checkbox"]')];
  const none = ticks.find((tick) => tick.value === "");
  const rows = [...list.querySelectorAll("[data-name]")];
  const steps = [...part("sure").querySelectorAll("input")];
  let active = null, editable = true;

  const ticked = () => ticks.filter((tick) => tick.checked && tick.value).map((tick) => tick.value);
  const titleOf = (name) =>
    list.querySelector(`[data-name="${name}"] label span`)?.textContent ?? name;
  const signOf = (name) => rows.find((row) => row.dataset.name === name)?.dataset.sign ?? "";

  function setActive(name) {
    active = name;
    boxes.set({ active, editable });
    drawActive();
  }

  // The ticked findings as radio buttons: a drag draws a box of the chosen one.
  function drawActive() {
    const named = ticked();
    const own = boxes.boxes;
    const place = part("active");
    const hadFocus = place.contains(document.activeElement) && document.activeElement.tagName;
    place.replaceChildren(...named.map((name) => {
      const input = el("input", { type: "radio", name: "cx-r-active", value: name });
      input.checked = name === active;
      input.addEventListener("change", () => setActive(name));
      const count = own[name]?.length ?? 0;
      const text = `${titleOf(name)}${count ? ` (${count})` : ""}`;
      return el("label", {}, input, el("span", { text }));
    }));
    const more = el("button", { type: "button", "data-do": "box", text: "Add a box" });
    more.addEventListener("click", () => boxes.add(active)?.focus());
    if (named.length) place.append(more);
    if (hadFocus === "INPUT") place.querySelector("input:checked")?.focus();
    if (hadFocus === "BUTTON") more.focus();
    part("draw").hidden = !editable || !named.length;
  }

  list.addEventListener("change", ({ target }) => {
    if (!ticks.includes(target)) return;
    if (target === none && none.checked) {
      for (const name of ticked()) boxes.drop(name);
      ticks.forEach((tick) => { tick.checked = tick === none; });
      active = null;
    } else if (target !== none) {
      if (target.checked) [none.checked, active] = [false, target.value];
      else {
        boxes.drop(target.value);
        if (active === target.value) active = ticked().at(-1) ?? null;
      }
    }
    setActive(active);
    on.changed();
  });
  part("sure").addEventListener("change", () => on.changed());
  list.addEventListener("click", (event) => {
    const name = event.target.closest("[data-map]")?.dataset.map;
    if (name) on.map(name);
  });

  /** What is on the form, as the server takes it; `sure` is null before it was said. */
  function reply() {
    const sure = steps.find((step) => step.checked);
    return {
      findings: ticked(), nothing: none.checked, boxes: boxes.boxes,
      sure: sure ? Number(sure.value) : null,
    };
  }

  /** Show an answer, or an empty form. */
  function fill(given, mayEdit) {
    editable = mayEdit;
    const { findings, nothing, sure, boxes: some } =
      given ?? { findings: [], nothing: false, sure: null, boxes: {} };
    ticks.forEach((tick) => {
      tick.checked = tick === none ? nothing : findings.includes(tick.value);
      tick.disabled = !editable;
    });
    steps.forEach((step) => {
      step.checked = Number(step.value) === sure;
      step.disabled = !editable;
    });
    boxes.set({ boxes: some });
    setActive(findings.at(-1) ?? null);
  }

  /** The network's probabilities or scores beside the ticks; without it they go. */
  function showNetwork(network) {
    list.classList.toggle("cx-r-beside", Boolean(network));
    const fill = (bar, value, named) => {
      bar.hidden = value === undefined;
      if (bar.hidden) return;
      bar.querySelector(".cx-fill").style.width = `${100 * value}%`;
      bar.querySelector("b").textContent = `${named ? "▲ " : ""}${valueText(network, value)}`;
    };
    fill(part("clear"), network?.probability["No Finding"], false);
    for (const row of rows) {
      const { name } = row.dataset;
      const bar = row.querySelector("[data-map]");
      const value = network?.probability[name];
      const named = Boolean(network?.named.includes(name));
      fill(bar, value, named);
      bar.classList.toggle("cx-over", named);
      if (bar.hidden) continue;
      const says = named ? "the network names it" : "the network does not name it";
      bar.setAttribute("aria-label", `${titleOf(name)}: ${valueText(network, value)}, ${says}. Show its heatmap`);
    }
  }

  /** Which finding's map is on the picture. */
  function showMap(name) {
    for (const row of rows) {
      const bar = row.querySelector("[data-map]");
      bar.setAttribute("aria-pressed", String(row.dataset.name === name));
    }
  }

  /** Mark what is there, by a word as well as by a colour; without a truth no mark stays. */
  function showTruth(truth) {
    const there = new Set(truth?.findings.map(({ name }) => name));
    for (const row of [...rows, none.closest(".cx-r-row")]) {
      const name = row.dataset.name ?? "";
      const is = truth && (name ? there.has(name) : !there.size);
      row.classList.toggle("cx-r-there", Boolean(is));
      row.querySelector("[data-mark]").textContent = is ? (name ? "there" : "true") : "";
    }
  }

  return {
    reply, fill, showNetwork, showMap, showTruth, drawActive, titleOf, signOf,
    steps: steps.map((step) => step.dataset.word),
  };
}
