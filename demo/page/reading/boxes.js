/* Boxes on a picture: drawn by mouse, pen or finger, moved and sized by keys too.

   A box is [left, top, right, bottom] in shares of the picture, 0 to 1. */

import { el } from "../base/dom.js";

const LEAST = 0.02; // a smaller drag is a slip of the hand
const STEP = 0.01;
const START = [0.4, 0.4, 0.6, 0.6]; // of a box that the keyboard adds
const MOST = 20;

const kept = (value) => Math.min(1, Math.max(0, value));
const rounded = (box) => box.map((value) => Math.round(1e4 * value) / 1e4);

/** The box between two points, whichever way it was drawn. */
const between = (a, b) => rounded([
  Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)].map(kept));

/** A box moved by (x, y), of the same size and within the picture. */
function movedBy([left, top, right, bottom], x, y) {
  const dx = Math.min(1 - right, Math.max(-left, x)), dy = Math.min(1 - bottom, Math.max(-top, y));
  return rounded([left + dx, top + dy, right + dx, bottom + dy]);
}

/** A box whose right and lower edges move by (x, y). */
const sizedBy = ([left, top, right, bottom], x, y) => rounded([
  left, top, kept(Math.max(left + LEAST, right + x)), kept(Math.max(top + LEAST, bottom + y))]);

function place(element, [left, top, right, bottom]) {
  const share = (value) => `${100 * value}%`;
  Object.assign(element.style, {
    left: share(left), top: share(top), width: share(right - left), height: share(bottom - top),
  });
}

const inWords = ([left, top, right, bottom]) => {
  const [x, y, w, h] = [left, top, right - left, bottom - top].map((v) => Math.round(100 * v));
  return `${x} % from the left, ${y} % from the top, ${w} % wide, ${h} % high`;
};

/**
 * The boxes of one reader on a layer over a canvas.
 *
 * parts: {layer, canvas}; on: {changed(), title(name)}. What others drew is shown by `others`.
 */
export function makeBoxes({ layer, canvas }, on) {
  let boxes = {}; // finding to list of boxes
  let active = null, editable = false, hand = false, drawing = null;
  let others = []; // {kind, title, box}
  let mine = true; // whether the reader's own are shown

  const count = () => Object.values(boxes).reduce((sum, some) => sum + some.length, 0);
  const drawable = () => editable && active && !hand;
  const pointOf = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return { x: kept((event.clientX - left) / width), y: kept((event.clientY - top) / height) };
  };

  function set(name, number, box) {
    boxes[name][number] = box;
    const element = layer.querySelector(`[data-box="${name} ${number}"]`);
    place(element, box);
    describe(element, name, number);
    on.changed();
  }

  function describe(element, name, number) {
    const which = `Box ${number + 1} of ${on.title(name)}`;
    const keys = editable ? ". Arrow keys move it, with Shift they size it, Delete removes it" : "";
    element.setAttribute("aria-label", `${which}: ${inWords(boxes[name][number])}${keys}`);
  }

  function remove(name, number) {
    boxes[name].splice(number, 1);
    if (!boxes[name].length) delete boxes[name];
    draw();
    on.changed();
    on.removed?.(name);
  }

  function add(name, box = START) {
    if (!editable || count() >= MOST) return;
    boxes[name] ??= [];
    const number = boxes[name].push([...box]) - 1;
    draw();
    on.changed();
    return layer.querySelector(`[data-box="${name} ${number}"]`);
  }

  function own(name, number) {
    const box = el("div", {
      class: "cx-box cx-box-mine", "data-box": `${name} ${number}`, role: "group",
      tabindex: editable ? "0" : null,
    }, el("span", { text: on.title(name) }));
    place(box, boxes[name][number]);
    if (!editable) return box;
    const less = el("button", { type: "button", class: "cx-box-less", tabindex: "-1",
      "aria-label": `Remove this box of ${on.title(name)}`, text: "×" });
    box.append(less, el("i", { class: "cx-box-corner" }));
    less.addEventListener("click", () => remove(name, number));
    box.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP],
        ArrowDown: [0, STEP] }[event.key];
      if (event.key === "Delete" || event.key === "Backspace") {
        event.preventDefault();
        remove(name, number);
      }
      if (!to) return;
      event.preventDefault();
      const change = event.shiftKey ? sizedBy : movedBy;
      set(name, number, change(boxes[name][number], ...to));
    });
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target === less) return;
      event.preventDefault();
      event.stopPropagation();
      box.focus();
      box.setPointerCapture(event.pointerId);
      const corner = event.target.classList.contains("cx-box-corner");
      const from = pointOf(event), before = boxes[name][number];
      box.onpointermove = (moved) => {
        const now = pointOf(moved);
        const change = corner ? sizedBy : movedBy;
        set(name, number, change(before, now.x - from.x, now.y - from.y));
      };
      box.onpointerup = box.onpointercancel = () => { box.onpointermove = null; };
    });
    return box;
  }

  function draw() {
    const all = others.map(({ kind, title, box }) => {
      const shown = el("div", { class: `cx-box cx-box-${kind}`, "aria-hidden": "true" },
        el("span", { text: title }));
      place(shown, box);
      return shown;
    });
    for (const [name, some] of mine ? Object.entries(boxes) : []) {
      some.forEach((_, number) => {
        const box = own(name, number);
        all.push(box);
        describe(box, name, number);
      });
    }
    layer.replaceChildren(...all);
    canvas.parentElement.classList.toggle("cx-drawing", Boolean(drawable()));
  }

  // Before the stage's own listeners: a drag that draws must not move the picture.
  const stage = canvas.parentElement;
  const catches = (event) => drawable() && event.target === canvas;
  stage.addEventListener("pointerdown", (event) => {
    if (!catches(event) || event.button !== 0) return;
    event.stopPropagation();
    if (drawing) { // a second finger: no box, but a slip
      drawing.shown.remove();
      drawing = null;
      return;
    }
    if (count() >= MOST) return;
    canvas.setPointerCapture(event.pointerId);
    const shown = layer.appendChild(el("div", { class: "cx-box cx-box-mine" }));
    drawing = { id: event.pointerId, from: pointOf(event), shown };
  }, true);
  stage.addEventListener("pointermove", (event) => {
    if (drawing?.id !== event.pointerId) return;
    place(drawing.shown, between(drawing.from, pointOf(event)));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => {
      if (drawing?.id !== event.pointerId) return;
      const { from, shown } = drawing;
      drawing = null;
      shown.remove();
      const box = between(from, pointOf(event));
      const large = box[2] - box[0] >= LEAST && box[3] - box[1] >= LEAST;
      if (kind === "pointerup" && large && drawable()) add(active, box);
    });
  }
  stage.addEventListener("dblclick", (event) => catches(event) && event.stopPropagation(), true);

  return {
    add, draw,
    get boxes() { return structuredClone(boxes); },
    /** Settings: {boxes, active, editable, hand, others, mine}, those that are given. */
    set(changes) {
      if ("boxes" in changes) boxes = structuredClone(changes.boxes);
      if ("active" in changes) ({ active } = changes);
      if ("editable" in changes) ({ editable } = changes);
      if ("hand" in changes) ({ hand } = changes);
      if ("others" in changes) ({ others } = changes);
      if ("mine" in changes) ({ mine } = changes);
      draw();
    },
    /** Drop the boxes of a finding that is no longer ticked. */
    drop(name) {
      delete boxes[name];
      draw();
    },
  };
}
