// Lesson 1: a memory that reads no pixel, and a drawn patient who comes again.

import { el, radios, svg } from "../base/dom.js";
import { share, figureText } from "../base/words.js";

/** Area under the ROC curve of scores with labels 0 or 1, ties counted half; NaN for none. */
export function auroc(scores, truth) {
  const order = Array.from(scores, (_, i) => i).sort((a, b) => scores[a] - scores[b]);
  let below = 0, won = 0, positives = 0;
  for (let i = 0; i < order.length;) {
    let j = i, ill = 0;
    while (j < order.length && scores[order[j]] === scores[order[i]]) ill += truth[order[j++]];
    const well = j - i - ill;
    won += ill * (below + well / 2);
    below += well;
    positives += ill;
    i = j;
  }
  return won / (positives * below);
}

/**
 * The memory's figures when a share of the patients may stand on both sides.
 *
 * A held-out image's score for a finding is the mean label of the same patient's images in
 * training, smoothed by one pseudo-image at the prevalence. Patients below the share have their
 * other images in training; of the others with a held-out image none is.
 * Returns {values: AUROC a finding, mean, known: share of held-out images with a known patient}.
 */
export function memory({ findings, patients, labels, held, order }, both) {
  const people = order.length;
  const touched = new Uint8Array(people);
  patients.forEach((who, i) => { if (held[i]) touched[who] = 1; });
  const learned = patients.map((who, i) => !held[i] && (!touched[who] || order[who] < both));
  const count = new Float64Array(people);
  patients.forEach((who, i) => { count[who] += learned[i] ? 1 : 0; });
  const asked = patients.map((_, i) => i).filter((i) => held[i]);
  const values = findings.map((_, bit) => {
    const has = labels.map((label) => (label >> bit) & 1);
    const positives = new Float64Array(people);
    let all = 0;
    patients.forEach((who, i) => { if (learned[i]) positives[who] += has[i]; });
    has.forEach((label) => { all += label; });
    const prevalence = all / labels.length;
    const scores = asked.map((i) => (positives[patients[i]] + prevalence) / (count[patients[i]] + 1));
    return auroc(scores, asked.map((i) => has[i]));
  });
  const have = values.filter((value) => !Number.isNaN(value));
  const known = asked.filter((i) => count[patients[i]]).length / asked.length;
  return { values, mean: have.reduce((a, b) => a + b, 0) / have.length, known, held: asked.length };
}

/**
 * Probability, or score, over some steps. story: {values, drawn: a full dot, names: of the steps, threshold,
 * calibrated}. at: the step that is shown beside it.
 */
export function drawStory(place, { values, drawn, names, threshold, calibrated }, at = -1) {
  const wide = 90, high = 120, count = values.length, text = (value) => figureText({ calibrated }, value);
  const x = (i) => 46 + wide * (i + 0.5), y = (p) => 10 + high * (1 - p);
  const image = svg("svg", { viewBox: `0 0 ${46 + wide * count} ${high + 48}`, role: "img",
    "aria-label": values.map((value, i) => `${names[i]}: ${text(value)}`).join(", ") });
  for (const tick of [0, 0.5, 1]) {
    image.append(svg("line", { class: "cx-l-grid-line", x1: 46, x2: 46 + wide * count, y1: y(tick), y2: y(tick) }),
      svg("text", { x: 40, y: y(tick) + 4, "text-anchor": "end", text: calibrated === false ? tick : share(tick) }));
  }
  if (threshold !== null) {
    image.append(svg("line", { class: "cx-t-stored", x1: 46, x2: 46 + wide * count, y1: y(threshold), y2: y(threshold) }));
  }
  image.append(svg("polyline", { class: "cx-t-curve cx-l-story", points: values.map((value, i) => `${x(i)},${y(value)}`).join(" ") }));
  values.forEach((value, i) => {
    image.append(
      svg("circle", { class: drawn[i] ? "cx-l-drawn" : "cx-l-not", cx: x(i), cy: y(value), r: i === at ? 9 : 6 }),
      svg("text", { x: x(i), y: high + 30, "text-anchor": "middle", text: text(value) }),
      svg("text", { x: x(i), y: high + 44, "text-anchor": "middle", text: names[i] }));
  });
  place.replaceChildren(image);
}

export function mountSplit(root, page) {
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const slider = root.querySelector('[data-set="both"]');
  const state = { content: null, story: null, number: null };

  function drawMemory() {
    const both = Number(slider.value) / 100;
    const { values, mean, known, held } = memory(state.content, both);
    slider.setAttribute("aria-valuetext", `${slider.value} % of the patients`);
    part("both").textContent = `${slider.value} %`;
    part("mean").textContent = mean.toFixed(3);
    part("known").textContent = share(known);
    part("held").textContent = held.toLocaleString("en");
    part("bars").replaceChildren(...state.content.findings.map((name, i) => {
      const bar = el("i", { class: "cx-l-bar", "aria-hidden": "true" }), fill = el("i");
      fill.style.width = `${Math.max(0, 200 * (values[i] - 0.5))}%`;
      bar.append(fill);
      const row = el("li");
      row.append(el("span", { text: name.replaceAll("_", " ") }), bar, el("b", { text: values[i].toFixed(2) }));
      return row;
    }));
  }

  function drawVisits(finding) {
    const { visits, threshold, calibrated } = state.story;
    drawStory(part("line"), {
      calibrated, threshold: threshold[finding], values: visits.map((visit) => visit.probability[finding]),
      drawn: visits.map((visit) => visit.drawn.includes(finding)), names: visits.map((_, i) => `visit ${i + 1}`),
    });
  }

  async function choosePatient(number) {
    state.number = number;
    part("story-wait").hidden = false;
    try {
      const story = await page.part(`patient/${number}`);
      if (state.number !== number) return; // another patient was chosen meanwhile
      state.story = story;
      part("pictures").replaceChildren(...story.visits.map((visit, i) => {
        const names = visit.drawn.map((name) => story.titles[name] ?? name.replaceAll("_", " "));
        const figure = el("figure");
        const image = el("img", { src: visit.picture, alt: `Visit ${i + 1}, drawn: ${names.join(", ") || "nothing"}` });
        figure.append(image, el("figcaption", { text: `${i + 1}: ${names.join(", ") || "nothing drawn"}` }));
        return figure;
      }));
      const select = root.querySelector('[data-set="story"]');
      select.replaceChildren(...story.findings.map((name) => el("option", { value: name, text: story.titles[name] })));
      select.value = story.first;
      drawVisits(story.first);
      part("story-wait").hidden = true;
    } catch (error) {
      if (state.number === number) part("story-wait").textContent = error.message;
    }
  }

  slider.addEventListener("input", drawMemory);
  root.querySelector('[data-set="story"]').addEventListener("change", ({ target }) =>
    drawVisits(target.value));

  return async () => {
    if (state.content) return;
    state.content = await page.part("split");
    part("split-wait").hidden = true;
    drawMemory();
    const people = state.content.people.map(({ sex, age }, i) => [String(i), `${sex}, ${age}`]);
    radios(part("people"), "cx-l-people", people, "0", choosePatient);
    await choosePatient("0");
  };
}

