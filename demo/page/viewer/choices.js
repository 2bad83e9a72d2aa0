// The picture of the tab Radiograph: uploaded, dropped, pasted, or an example; the newest choice wins.

/**
 * viewer: see `mount`; source: answers; most: bytes that a picture may have.
 * Each choice resolves with the answer once it is shown, or with null where a newer one took its
 * place; it throws why there is none, which the page then says already.
 */
export function makeChoices(viewer, source, most) {
  const zone = document.getElementById("cx-upload"), bar = zone.querySelector("progress");
  /** @type {?HTMLInputElement} */
  const onDevice = document.querySelector("#cx-device input"); // where the server offers it
  let newest = null; // what stops the newest choice while it is on its way
  let picture = null; // what is shown of a visitor's own: {file, corrected}

  /** ask: gives the answer; given: see `picture`. */
  async function choose(ask, given = null) {
    newest?.abort();
    const mine = new AbortController();
    newest = mine;
    zone.setAttribute("aria-busy", "true");
    try {
      const answer = await ask(mine.signal);
      if (mine !== newest) return null;
      picture = given;
      await viewer.show(answer);
      return answer;
    } catch (error) {
      if (mine !== newest) return null;
      viewer.refuse(error.message);
      throw error;
    } finally {
      if (mine === newest) zone.removeAttribute("aria-busy");
    }
  }

  /** What answers. A picture that is to stay on this device is never sent, whatever goes wrong. */
  async function answering() {
    if (!onDevice?.checked) return source;
    const analysis = await import("../source/local_analysis.js");
    await analysis.prepare({ onProgress: loading });
    return analysis;
  }

  /** Show how far what answers is fetched: {loaded, total} in bytes, null at the end. */
  function loading(done) {
    bar.hidden = !done;
    if (done?.total) [bar.max, bar.value] = [done.total, done.loaded];
  }

  /** Ask about a picture; how: see `source.analyse`. */
  const ask = (file, how) => choose(async (signal) => {
    if (file.size > most) {
      const size = (bytes) => `${Math.ceil(bytes / 2 ** 20).toLocaleString("en")} MB`;
      throw new Error(`This file has ${size(file.size)}. At most ${size(most)} can be read.`);
    }
    return (await answering()).analyse(file, { ...how, instead: viewer.state.answer?.id ?? "", signal });
  }, { file, corrected: how.corrected });

  const upload = (file) => ask(file, { corrected: 0 });
  const example = (name) => choose(() => source.part(`example/${name}`));
  /** Go on with the picture that is shown: "correct" it or show its result "anyway". */
  const go = async (how) => picture && ask(picture.file, how === "anyway"
    ? { ...picture, anyway: true } : { corrected: picture.corrected + 1 });

  let asking = false, next = null;

  /** Ask for a map of another method. Of those wished for while one is on its way the last is next. */
  async function method(...wanted) {
    next = wanted;
    if (asking) return;
    asking = true;
    while (next) {
      const [finding, name, id] = next;
      next = null;
      try {
        viewer.setMap(finding, name, { id, ...(await source.heat(id, finding, name)) });
      } catch (error) {
        const { state } = viewer;
        if (state.finding === finding && state.method === name) viewer.showMethodError(error.message, id);
      }
    }
    asking = false;
  }

  const quietly = (promise) => promise.catch(() => {});
  const isShown = () => Boolean(zone.offsetParent); // not behind another tab
  const give = (files) => { if (files?.length && isShown()) quietly(upload(files[0])); };

  for (const button of document.querySelectorAll("button[data-example]")) {
    button.addEventListener("click", () => quietly(example(button.getAttribute("data-example"))));
  }
  onDevice?.addEventListener("change", () => quietly(answering()));
  const input = zone.querySelector("input");
  input.addEventListener("change", () => {
    give([...input.files]);
    input.value = ""; // the same file again is a choice too
  });
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files;
    if (!files?.length || !isShown()) return;
    event.preventDefault();
    give(files);
  });
  // Without these the browser would leave the page and open the file that was dropped.
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    give(event.dataTransfer?.files);
  });

  return { upload, example, method, loading, anyway: () => go("anyway"),
    onGate: (how) => quietly(go(how)), opening: (name) => quietly(example(name)) };
}
