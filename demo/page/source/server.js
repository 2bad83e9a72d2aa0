/* The server as the page's source of answers: everything is asked below the page's own address.

   Each call throws an error whose message a visitor may read; an aborted one throws AbortError. */

const NO_ANSWER = "The demo does not answer. Please try again.";

/** Ask for a path below the page's own address: what its JSON holds. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(NO_ANSWER);
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Error("Please load this page again and log in.");
  // Only what the demo itself says is text.
  const plain = answer.headers.get("content-type")?.startsWith("text/plain");
  throw new Error((plain && (await answer.text())) || NO_ANSWER);
}

/**
 * The network's answer to a picture.
 *
 * @param {Blob} file its bytes; its name is not sent.
 * @param {{anyway?: boolean, corrected?: number, instead?: string, signal?: AbortSignal}} [how]
 *   anyway: show the result although the gate objects; corrected: how often the picture is set
 *   right as the gate says; instead: id of the answer that is no longer needed.
 * @returns {Promise<import("./answer.js").Answer>}
 */
export function analyse(file, { anyway = false, corrected = 0, instead = "", signal } = {}) {
  const how = new URLSearchParams({ anyway: String(Number(anyway)), corrected: String(corrected), instead });
  const headers = { "content-type": "application/octet-stream" };
  return ask(`api/analyse?${how}`, { method: "POST", body: file, headers, signal });
}

/** Another method's map of a finding: {cells: [h, w], data: base64 of float32}. */
export const heat = (id, finding, method, signal) =>
  ask(`api/heat/${id}?${new URLSearchParams({ finding, method })}`, { signal });

/** A function that gives the same promise for the same name, until it fails. */
export function remembering(get) {
  const known = new Map();
  return (name) => {
    if (!known.has(name)) {
      const mine = get(name);
      known.set(name, mine);
      mine.catch(() => known.delete(name)); // the next look may try again
    }
    return known.get(name);
  };
}

/** What the page shows of drawn pictures and of the weights, asked for once: `example/mass`. */
export const part = remembering((name) => ask(`api/part/${name}`));

/** A step of a reading. */
export const step = (asked, signal) => ask("api/step", {
  method: "POST", body: JSON.stringify(asked), headers: { "content-type": "application/json" }, signal,
});

/**
 * Tell the server that a page is open, as long as it is.
 *
 * @param {(done: ?{loaded: number, total?: number}) => void} [_] nothing has to be fetched here
 */
export async function present(_) {
  try {
    const { body } = await fetch("api/present");
    await body?.pipeTo(new WritableStream());
  } catch { /* the server has ended */ }
  setTimeout(() => present(), 10_000);
}
