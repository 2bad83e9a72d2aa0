/* Is this a frontal chest radiograph, upright and not inverted? chexnet/inference/gate.py in the
   browser; `gate` is what its `plain` gives. Views are Float32Array (side * side), from 0 to 1. */

import { floatsOf } from "../viewer/drawing.js";
import { resize } from "../base/resize.js";

const networks = new WeakMap(); // gate to its layers, unpacked

function layersOf(gate) {
  if (!networks.has(gate)) {
    networks.set(gate, gate.layers.map(({ shape, weight, bias }) => (
      { shape, weight: floatsOf(weight), bias: floatsOf(bias) })));
  }
  return networks.get(gate);
}

/** What the gate's network sees of a picture. */
export function thumbnail({ pixels, width, height }, { side, stride_from, tails }) {
  const [across, down] = [width, height].map((length) => Math.max(1, Math.floor(length / stride_from)));
  const small = { width: Math.ceil(width / across), height: Math.ceil(height / down) };
  const sparse = new Float32Array(small.width * small.height);
  for (let y = 0, i = 0; y < height; y += down) {
    for (let x = 0; x < width; x += across) sparse[i++] = pixels[y * width + x];
  }
  const view = resize({ pixels: sparse, ...small }, [side, side], "box").pixels;
  const sorted = view.slice().sort();
  const [low, high] = tails.map((percent) => {
    const place = (percent / 100) * (sorted.length - 1), before = Math.floor(place);
    const next = sorted[Math.min(before + 1, sorted.length - 1)];
    return sorted[before] + (next - sorted[before]) * (place - before);
  });
  const range = Math.max(high - low, 1e-6);
  return view.map((value) => Math.min(1, Math.max(0, (value - low) / range)));
}

/** A layer of stride 2, padded by half its kernel: (C, n, n) to (C', n/2, n/2), ReLU. */
function convolved(input, n, { shape: [outputs, channels, size], weight, bias }) {
  const half = size >> 1, side = n / 2, output = new Float32Array(outputs * side * side);
  for (let o = 0; o < outputs; o++) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        let sum = bias[o];
        for (let c = 0; c < channels; c++) {
          for (let dy = 0; dy < size; dy++) {
            const row = 2 * y + dy - half;
            if (row < 0 || row >= n) continue;
            const from = ((o * channels + c) * size + dy) * size;
            for (let dx = 0; dx < size; dx++) {
              const column = 2 * x + dx - half;
              if (column >= 0 && column < n) sum += weight[from + dx] * input[(c * n + row) * n + column];
            }
          }
        }
        output[(o * side + y) * side + x] = Math.max(0, sum);
      }
    }
  }
  return output;
}

function logProbabilities(view, gate) {
  let x = view.map((value) => 2 * value - 1), n = gate.side;
  for (const layer of layersOf(gate)) {
    const { shape: [outputs, inputs], weight, bias } = layer;
    if (layer.shape.length === 4) {
      x = convolved(x, n, layer);
      n /= 2;
      continue;
    }
    const last = outputs === gate.kinds.length, given = x;
    x = bias.map((start, o) => {
      let sum = start;
      for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * given[i];
      return last ? sum : Math.max(0, sum);
    });
  }
  const most = Math.max(...x);
  const all = Math.log(x.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return [...x].map((value) => value - most - all);
}

function logOdds([first, ...others]) {
  const most = Math.max(...others);
  return first - most - Math.log(others.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

/** Left and right exchanged. */
const mirrored = (view, side) => view.map((_, i) => view[i - (i % side) + side - 1 - (i % side)]);
/** A quarter turn to the left, as numpy.rot90. */
const turned = (view, side) => view.map((_, i) => view[(i % side) * side + side - 1 - Math.floor(i / side)]);

/** Log-probabilities of a view and of its mirror image, whose mean is steadier. */
const outputsOf = (view, gate) => [view, mirrored(view, gate.side)].map((input) => logProbabilities(input, gate));
const scoreOf = (outputs) => (logOdds(outputs[0]) + logOdds(outputs[1])) / 2;

/** Name what a picture is instead of a radiograph, as far as the network is sure; `name_of`. */
function nameOf(outputs, { kinds, sure }) {
  const chance = kinds.map((_, k) => (Math.exp(outputs[0][k]) + Math.exp(outputs[1][k])) / 2);
  const of = (kind) => chance[kinds.indexOf(kind)];
  const likeliest = kinds.slice(2).reduce((best, kind) => (of(kind) > of(best) ? kind : best));
  if (of(likeliest) >= sure) return likeliest;
  return of("photograph") + of("text") >= sure ? "everyday" : "";
}

/** The verdict on a picture: {fine, kind, message, score, turns, inverted}; `judge`. */
export function judge(picture, gate) {
  const { words } = gate, upright = thumbnail(picture, gate);
  const outputs = outputsOf(upright, gate), score = scoreOf(outputs);
  const verdict = { fine: false, score, turns: 0, inverted: false };
  if (score >= gate.even) return { ...verdict, fine: true, kind: words.fine, message: "" };
  const views = [upright];
  for (let turns = 1; turns < 4; turns++) views.push(turned(views[turns - 1], gate.side));
  views.push(...views.map((view) => view.map((value) => 1 - value)));
  // It was not fine as it is.
  const scores = views.map((view, i) => (i ? scoreOf(outputsOf(view, gate)) : -Infinity));
  const best = scores.indexOf(Math.max(...scores));
  if (scores[best] < gate.even) {
    return { ...verdict, kind: words.else, message: `${words.what[nameOf(outputs, gate)]} ${words.trust}` };
  }
  const turns = best % 4, inverted = best >= 4;
  let [kind, says] = words.how[turns] ?? words.inverted;
  if (turns && inverted) says = `${says.slice(0, -1)}, and ${words.inverted[1]}`;
  return { ...verdict, kind, message: `The picture ${says}`, turns, inverted };
}
