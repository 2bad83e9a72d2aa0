// Lesson 4: what a test with wrong labels would report of a network that is always right.

import { share } from "../base/words.js";

/**
 * Figures of a network that is right about every image, marked with labels that are not.
 * labelled: share of images labelled with the finding; right: share of these that have it;
 * hidden: share of the others that have it all the same.
 */
export function perfect({ labelled, right, hidden }) {
  const sensitivity = right, specificity = 1 - hidden; // it calls exactly those that have it
  const ill = labelled * right + (1 - labelled) * hidden;
  // It has two scores only: the curve is two straight lines over one point.
  return { sensitivity, specificity, ppv: ill ? (labelled * right) / ill : NaN, auroc: (sensitivity + specificity) / 2 };
}

export function mountLabels(root) {
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const names = ["right", "hidden", "labelled"];
  function draw() {
    const given = { labelled: 0, right: 0, hidden: 0 };
    for (const name of names) {
      const { value } = root.querySelector(`[data-set="${name}"]`);
      given[name] = Number(value) / 100;
      part(name).textContent = value;
    }
    const figures = perfect(given);
    part("sensitivity").textContent = share(figures.sensitivity);
    part("specificity").textContent = share(figures.specificity);
    part("auroc").textContent = figures.auroc.toFixed(2);
    part("labels-words").textContent = `Of those it calls, the test would count ${share(figures.ppv)} as right. All of them are.`;
  }
  root.addEventListener("input", draw);
  draw();
  return () => {};
}

