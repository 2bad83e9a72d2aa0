// The tab "Lessons": one page at a time; what a page needs is asked for when it is first opened.

import { whenSeen } from "../base/dom.js";
import { mountBreaks } from "./breaks.js";
import { mountHeat } from "./heat_scales.js";
import { mountLabels } from "./label_noise.js";
import { mountProbability } from "./probability.js";
import { mountSplit } from "./split.js";
import { mountTwins } from "./twins.js";

const MOUNTS = {
  split: mountSplit, heat: mountHeat, probability: mountProbability, labels: mountLabels, breaks: mountBreaks,
  twins: mountTwins,
};

/** page: asks and answers for a lesson: {part, heat, own, upload, anyway}. */
export function mountLessons(root, page) {
  const pages = [...root.querySelectorAll("article[data-lesson]")];
  const buttons = [...root.querySelectorAll("[data-open]")];
  const begin = new Map(pages.map(({ dataset: { lesson } }, i) => [lesson, MOUNTS[lesson](pages[i], page)]));
  let now = pages[0].dataset.lesson;

  async function start() {
    try {
      await begin.get(now)?.();
    } catch (error) {
      const wait = root.querySelector(`article[data-lesson="${now}"] .cx-t-wait`);
      if (wait) wait.textContent = error.message;
    }
  }

  /** Show one lesson; the heading is told to whoever listens instead of looking. */
  function open(name, focus = false) {
    now = name;
    for (const article of pages) article.hidden = article.dataset.lesson !== name;
    for (const button of buttons) button.setAttribute("aria-current", String(button.dataset.open === name));
    if (focus) root.querySelector(`article[data-lesson="${name}"] h2`).focus();
    return start();
  }
  root.addEventListener("click", (event) => {
    const name = event.target.closest("button")?.dataset.open;
    if (name) open(name, true);
  });
  for (const article of pages) article.hidden = article.dataset.lesson !== now;
  whenSeen(root, start);
  return { open };
}
