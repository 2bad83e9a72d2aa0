/* A module worker: the network on onnxruntime-web, and all that takes long beside it, so that the
   page never waits. What it is sent: `open` with the folder of the files, `analyse`, `forget`. */

import { answerTo } from "./local_answer.js";

const INCOMPLETE = "The network could not be fetched. Check the connection and load this page again.";
const NO_ROOM = "This browser could not compute the network. Close other pages and load this one again.";
const forgotten = new Set(); // ids of questions that nobody waits for any more
let facts = null, session = null, ort = null;
let last = Promise.resolve(); // one after the other: the runtime computes no two at once

addEventListener("message", ({ data: { id, call, given } }) => {
  if (call === "forget") {
    forgotten.add(id);
    return;
  }
  last = last.then(async () => {
    try {
      if (forgotten.delete(id)) return;
      postMessage({ id, result: await (call === "open" ? open : analyse)(given) });
    } catch (error) {
      postMessage({ id, problem: error.message });
    }
  });
});

/** The bytes of a file; each part's size is told as it comes, once it is known of how many. */
async function fetched(url) {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) throw new Error(INCOMPLETE);
  const parts = [], reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts).arrayBuffer();
    parts.push(value);
    if (facts) postMessage({ bytes: value.length, of: facts.bytes });
  }
}

async function open(base) {
  facts = JSON.parse(new TextDecoder().decode(await fetched(`${base}facts.json`)));
  const [runtime, network] = await Promise.all(
    ["ort-wasm-simd-threaded.wasm", "network.onnx"].map((name) => fetched(base + name)));
  ort = await import(`${base}ort.wasm.bundle.min.mjs`);
  ort.env.wasm.wasmBinary = runtime;
  session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
}

async function run(item) {
  const { size } = facts.preprocessing;
  try {
    const { logits, contributions } = await session.run({ pixels: new ort.Tensor("uint8", item, [1, 1, size, size]) });
    return { logits: logits.data, contributions: contributions.data, cells: contributions.dims.slice(2) };
  } catch {
    throw new Error(NO_ROOM);
  }
}

async function analyse({ file, anyway, corrected }) {
  return answerTo(new Uint8Array(await file.arrayBuffer()), { anyway, corrected }, facts, run);
}
