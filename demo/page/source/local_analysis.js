/* The browser as the page's source of answers: the picture never leaves it.

   Each call throws an error whose message a visitor may read; an aborted one throws AbortError. */

const STOPPED = "This browser ended the computation. Load this page again.";
const waiting = new Map(); // number of a question to who waits for its answer
let worker = null, opened = null, count = 0, tell = null;

function ask(call, given, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const id = ++count;
    signal?.addEventListener("abort", () => {
      if (waiting.delete(id)) worker?.postMessage({ id, call: "forget" });
      reject(signal.reason);
    });
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, call, given });
  });
}

function start() {
  worker = new Worker(new URL("./network.js", import.meta.url), { type: "module" });
  let loaded = 0;
  worker.addEventListener("message", ({ data: { id, result, problem, bytes, of } }) => {
    if (bytes) {
      loaded += bytes;
      tell?.({ loaded, total: of });
      return;
    }
    const asked = waiting.get(id);
    waiting.delete(id);
    if (problem) asked?.reject(new Error(problem));
    else asked?.resolve(result);
  });
  worker.addEventListener("error", () => {
    for (const asked of waiting.values()) asked.reject(new Error(STOPPED));
    waiting.clear();
    close();
  });
}

function close() {
  worker?.terminate();
  worker = opened = null;
}

/**
 * Fetch the network and what computes it, once; after an error it may be tried again.
 *
 * @param {{base?: string, onProgress?: (done: ?{loaded: number, total?: number}) => void}} [from]
 *   base: address of the folder with `facts.json` (demo/local_facts.py, and `bytes` of all that is
 *   fetched), `network.onnx`, and of onnxruntime-web `ort.wasm.bundle.min.mjs` and
 *   `ort-wasm-simd-threaded.wasm`; onProgress: is told the bytes that have come, and of how many;
 *   null at the end.
 * @returns {Promise<void>}
 */
export function prepare({ base = new URL("../onnx/", import.meta.url).href, onProgress } = {}) {
  tell = onProgress ?? tell;
  if (!opened) {
    start();
    opened = ask("open", new URL(base, location.href).href);
    opened.catch(close);
    opened.finally(() => tell?.(null)).catch(() => {});
  }
  return opened;
}

/**
 * The network's answer to a picture; see `analyse` of server.js.
 *
 * @param {Blob} file
 * @param {{anyway?: boolean, corrected?: number, instead?: string, signal?: AbortSignal}} [how]
 * @returns {Promise<import("./answer.js").Answer>}
 */
export async function analyse(file, { anyway = false, corrected = 0, signal } = {}) {
  await prepare();
  return ask("analyse", { file, anyway, corrected }, signal);
}
