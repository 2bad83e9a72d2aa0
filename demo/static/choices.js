/* The picture of the tab Radiograph: uploaded, dropped, pasted, or an example; the newest choice wins.
   Here is also how every tab asks the server: one request, one answer, and none waits for another. */
(() => {
  "use strict";
  const cx = (window.chexnet ??= {});

  const NO_ANSWER = "The demo does not answer. Please try again.";
  const PAGE = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16)).join("");

  /** path: below the page, whose own address may lack the / at its end behind a reverse proxy. */
  async function post(path, options) {
    const root = window.gradio_config.root.replace(/\/$/, "");
    let answer;
    try {
      answer = await fetch(`${root}/${path}`, { method: "POST", ...options });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error(NO_ANSWER);
    }
    if (answer.ok) return answer.json();
    if (answer.status === 401) throw new Error("Please load this page again and log in.");
    // Only what the demo itself says is text.
    const plain = answer.headers.get("content-type")?.startsWith("text/plain");
    throw new Error((plain && (await answer.text())) || NO_ANSWER);
  }

  /** Ask the server. name: of the element that asks; question: plain values. Returns its message. */
  async function ask(name, question, signal) {
    const { components, dependencies } = window.gradio_config;
    const { id } = components.find((one) => one.props.elem_id === name);
    const asks = dependencies.find(({ targets }) => targets.some(([target]) => target === id));
    const { data } = await post("gradio_api/run/predict", {
      signal,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ fn_index: asks.id, data: asks.inputs.map(() => null),
        event_data: question, session_hash: PAGE }),
    });
    return JSON.parse(data.at(-1));
  }

  let newest = 0, turn = Promise.resolve(), sending = null, held = null;

  /**
   * Make this the picture. prepare(signal): gives what the server is asked, or null for nothing.
   * Returns the answer, or null where a newer choice took its place; throws why there is none.
   */
  async function choose(prepare) {
    const mine = ++newest;
    sending?.abort();
    sending = new AbortController();
    document.querySelector("#cx-upload")?.setAttribute("aria-busy", "true");
    try {
      const asked = await prepare(sending.signal);
      // In turn: the server keeps the picture that it answered last, which then is the one shown.
      const answered = turn.then(() => (mine === newest && asked ? cx.ask("cx-viewer", asked) : null));
      turn = answered.catch(() => {});
      const message = await answered;
      if (message?.kind === "problem") throw new Error(message.content.text);
      held = message ? message.content : held;
      if (mine !== newest) return null;
      if (held) await cx.page.show(held);
      held = null;
      return message && message.content;
    } catch (error) {
      if (mine !== newest) return null;
      if (held) await cx.page.show(held); // older than this one, and yet the newest that there is
      held = null;
      cx.page.refuse(error.message);
      throw error;
    } finally {
      if (mine === newest) document.querySelector("#cx-upload")?.removeAttribute("aria-busy");
    }
  }

  async function sent(file, signal) {
    const most = Number(document.querySelector("#cx-upload").dataset.most);
    if (file.size > most) {
      const size = (bytes) => `${Math.ceil(bytes / 2 ** 20).toLocaleString("en")} MB`;
      throw new Error(`This file has ${size(file.size)}. At most ${size(most)} can be read.`);
    }
    const body = new FormData();
    body.append("files", file, "picture");
    const [path] = await post("gradio_api/upload", { body, signal });
    return { action: "upload", path };
  }

  const upload = (file) => choose((signal) => sent(file, signal));
  const example = (name) => choose(() => ({ action: "example", example: name }));
  /** Go on with the picture that is shown: "correct" or "anyway". */
  function gate(action) {
    const { id } = cx.page.state.answer;
    return choose(() => turn.then(() => (id === cx.page.state.answer?.id && !held ? { action } : null)));
  }

  let asking = false, next = null;

  /** Ask for a map of another method. Of those wished for while one is on its way the last is next. */
  async function method(...wanted) {
    next = wanted;
    if (asking) return;
    asking = true;
    while (next) {
      const [finding, name, id] = next;
      next = null;
      const message = await cx.ask("cx-viewer", { action: "method", finding, method: name, id })
        .catch((error) => ({ content: { text: error.message } }));
      const { state } = cx.page;
      if (message.kind === "map") cx.page.setMap(finding, name, message.content);
      else if (state.finding === finding && state.method === name) {
        cx.page.showMethodError(message.content.text, id);
      }
    }
    asking = false;
  }

  // What is refused is told on the page already.
  const quietly = (promise) => promise.catch(() => {});
  const zone = () => document.querySelector("#cx-upload");
  const isShown = () => Boolean(zone()?.offsetParent); // not behind another tab
  const give = (files) => { if (files?.length && isShown()) quietly(upload(files[0])); };

  document.addEventListener("click", ({ target }) => {
    const name = target.closest?.("button[data-example]")?.dataset.example;
    if (name) quietly(example(name));
  });
  document.addEventListener("change", ({ target }) => {
    if (!target.closest?.("#cx-upload")) return;
    give(target.files);
    target.value = ""; // the same file again is a choice too
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

  /** Let an element fill what the window leaves below the page's head, however high that is. */
  function fillWindow(element) {
    const fill = () => {
      const above = element.getBoundingClientRect().top + window.scrollY;
      if (above > 0) element.style.setProperty("--cx-above", `${Math.ceil(above) + 12}px`);
    };
    new ResizeObserver(fill).observe(document.body);
    new IntersectionObserver(fill).observe(element);
    fill();
  }

  Object.assign(cx, { ask, fillWindow });
  const opening = () => quietly(choose(() => ({ action: "opening" })));
  cx.choices = { upload, example, opening, gate: (action) => quietly(gate(action)), method };
})();
