// Lesson 5: a changed picture, sent as any upload is, and the findings that moved.

import { el } from "../base/dom.js";
import { titleOf, figureText } from "../base/words.js";
import { decodePreview } from "../viewer/drawing.js";
import { isWarning } from "../viewer/evidence.js";

const NOTHING = { turn: 0, blur: 0, crop: 0, invert: false, marker: false };

/** Blur along the rows, twice a box: gray Uint8Array (H * W), radius in pixels. */
function blurRows(gray, width, height, radius) {
  const out = new Uint8Array(gray.length), reach = Math.max(1, Math.round(radius));
  for (let y = 0; y < height; y++) {
    const at = (x) => gray[y * width + Math.min(width - 1, Math.max(0, x))];
    let sum = 0;
    for (let x = -reach; x <= reach; x++) sum += at(x);
    for (let x = 0; x < width; x++) {
      out[y * width + x] = sum / (2 * reach + 1);
      sum += at(x + reach + 1) - at(x - reach);
    }
  }
  return out;
}

function transposed(gray, width, height) {
  const out = new Uint8Array(gray.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) out[x * height + y] = gray[y * width + x];
  return out;
}

export function blurred(gray, width, height, radius) {
  let now = gray;
  for (let time = 0; time < 2; time++) {
    now = transposed(blurRows(now, width, height, radius), width, height);
    now = transposed(blurRows(now, height, width, radius), height, width);
  }
  return now;
}

/** The picture with the changes: {gray, width, height} onto a canvas of its own size. */
export function paint(canvas, { gray, width, height }, { turn, blur, crop, invert, marker }) {
  const soft = blur ? blurred(gray, width, height, (blur * width) / 512) : gray;
  const own = document.createElement("canvas");
  [own.width, own.height] = [width, height];
  const image = new ImageData(width, height), words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = 0xff000000 | ((invert ? 255 - soft[i] : soft[i]) * 0x010101);
  own.getContext("2d").putImageData(image, 0, 0);
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { alpha: false });
  const cut = crop / 100;
  context.translate(width / 2, height / 2);
  context.rotate((turn * Math.PI) / 180);
  context.drawImage(own, width * cut / 2, height * cut / 2, width * (1 - cut), height * (1 - cut),
    -width / 2, -height / 2, width, height);
  context.resetTransform();
  if (marker) {
    const size = width / 9;
    context.fillStyle = "#fff";
    context.font = `bold ${size}px sans-serif`;
    context.fillText("L", width - 1.3 * size, 1.2 * size);
    context.fillRect(width - 2.4 * size, 1.4 * size, 2 * size, size / 3);
  }
}

export function mountBreaks(root, page) {
  const find = (selector) => root.querySelector(selector);
  const part = (name) => find(`[data-part="${name}"]`);
  const canvas = find("canvas"), state = { before: null, picture: null, set: { ...NOTHING } };
  let turn = 0; // what comes of an older choice is not shown

  function draw() {
    const { turn, blur, crop } = state.set;
    part("turn").textContent = `${turn}°`;
    part("blur").textContent = blur ? `${blur}` : "none";
    part("crop").textContent = `${crop} %`;
    for (const name in NOTHING) {
      const input = find(`[data-set="${name}"]`);
      if (input.type === "checkbox") input.checked = state.set[name];
      else input.value = state.set[name];
    }
    if (state.picture) paint(canvas, state.picture, state.set);
  }

  async function choose(name) {
    const mine = ++turn;
    part("moves").replaceChildren();
    part("breaks-says").textContent = "";
    let answer, decoded;
    try {
      answer = name === "own" ? page.own() : await page.part(`example/${name}`);
      if (!answer) throw new Error("Open a picture on the tab Radiograph first.");
      decoded = await decodePreview(answer);
    } catch (error) {
      if (mine === turn) part("breaks-says").textContent = error.message;
      return;
    }
    if (mine !== turn) return;
    const { width, height } = answer.preview, { pixels, bits } = decoded;
    const gray = bits > 8 ? Uint8Array.from(pixels, (value) => value >> 8) : pixels;
    Object.assign(state, { before: answer, picture: { gray, width, height }, set: { ...NOTHING } });
    draw();
  }

  /** Ask with `choice`, which gives the tab Radiograph's answer, and show what became of it. */
  async function send(choice) {
    const mine = ++turn, { before } = state, place = part("breaks-says");
    place.textContent = "Asking the network …";
    part("moves").replaceChildren();
    let answer = null, why = "Another picture was chosen on the tab Radiograph meanwhile.";
    try {
      answer = await choice();
    } catch (error) {
      why = error.message;
    }
    if (mine !== turn) return;
    if (answer) show(answer, before);
    else place.textContent = why;
  }

  async function upload() {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    return page.upload(blob);
  }

  function show(answer, before) {
    const place = part("breaks-says");
    if (!answer.gate.open) {
      const button = el("button", { type: "button", text: "Show the result anyway" });
      button.addEventListener("click", () => send(() => page.anyway()));
      place.replaceChildren(`The gate noticed: ${answer.gate.message} `, button);
      return;
    }
    place.textContent = answer.gate.fine ? "The gate noticed nothing. The changed picture is on the tab Radiograph too."
      : "Shown although the gate objected.";
    const moved = before.findings.map((name) => ({ name, was: before.probability[name], is: answer.probability[name] }));
    moved.sort((a, b) => Math.abs(b.is - b.was) - Math.abs(a.is - a.was));
    part("moves").replaceChildren(...moved.map(({ name, was, is }) => {
      const bar = el("span", { class: "cx-l-shift", "aria-hidden": "true" });
      const went = el("i", { class: "cx-l-went" }), start = el("i", { class: "cx-l-was" });
      went.style.left = `${100 * Math.min(was, is)}%`;
      went.style.width = `${100 * Math.abs(is - was)}%`;
      start.style.left = `${100 * was}%`;
      bar.append(went, start);
      const crossed = isWarning(before, name) !== isWarning({ ...answer }, name);
      const row = el("tr"), last = el("td");
      last.append(bar);
      row.append(el("th", { scope: "row", text: titleOf(before, name) }),
        el("td", { text: `${figureText(before, was)} → ${figureText(before, is)}` }), el("td", { text: crossed ? "crossed" : "" }), last);
      return row;
    }));
  }

  root.addEventListener("input", ({ target }) => {
    const name = target.dataset.set;
    if (!(name in NOTHING)) return;
    state.set[name] = target.type === "checkbox" ? target.checked : Number(target.value);
    draw();
  });
  find('[data-set="picture"]').addEventListener("change", ({ target }) => choose(target.value));
  find('[data-act="send"]').addEventListener("click", () => state.picture && send(upload));
  find('[data-act="undo"]').addEventListener("click", () => { state.set = { ...NOTHING }; draw(); });
  return async () => { if (!state.before) await choose(find('[data-set="picture"]').value); };
}

