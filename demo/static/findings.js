/* The list of findings, and why one has its score.

   The logit is exactly bias + what speaks for - what speaks against: the network ends in average
   pooling and one linear layer, so the signed contributions of the cells and the bias add up to it. */
(() => {
  "use strict";
  const cx = (window.chexnet ??= {});

  /** An element: el("p", {class: "a", text: "b"}, child). Text is never read as HTML. */
  function el(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") element.textContent = value;
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /** A probability for people: `63 %`, `0.4 %`, `< 0.1 %`. */
  function percent(value) {
    const shown = 100 * value;
    if (shown < 0.1) return "< 0.1 %";
    return `${shown < 10 ? shown.toFixed(1) : Math.round(shown)} %`;
  }

  /** What its values are called: without calibration they are no probabilities. */
  const valueName = (answer) => (answer.calibrated === false ? "score" : "probability");

  /** A value for people: a probability in percent, a score as a number, `0.63`, `0.0044`. */
  function valueText(answer, value) {
    if (answer.calibrated !== false) return percent(value);
    if (value < 0.0001) return "< 0.0001";
    return value < 0.1 ? String(Number(value.toPrecision(2))) : value.toFixed(2);
  }

  const isPublishers = (answer) => answer.thresholds_of === "publisher";
  const thresholdName = (answer) =>
    isPublishers(answer) ? "its publisher's threshold" : "its threshold";

  /** Hundredths as people write them, with a true minus. */
  const hundredths = (value) => `${value < 0 ? "−" : ""}${(Math.abs(value) / 100).toFixed(2)}`;

  const titleOf = (answer, name) => answer.titles?.[name] ?? name.replaceAll("_", " ");

  /** Findings, the most probable first, and No Finding last. */
  function orderOf(answer) {
    const order = [...answer.findings].sort(
      (a, b) => answer.probability[b] - answer.probability[a],
    );
    const none = answer.no_finding;
    return none && none in answer.probability ? [...order, none] : order;
  }

  /** `above` or `below` its threshold; empty where it has none. */
  function sideOf(answer, name) {
    const threshold = answer.threshold[name] ?? null;
    if (threshold === null) return "";
    return answer.probability[name] >= threshold ? "above" : "below";
  }

  function thresholdInWords(answer, name) {
    const side = sideOf(answer, name);
    if (!side) return "no threshold was measured";
    return `${side} ${thresholdName(answer)} of ${valueText(answer, answer.threshold[name])}`;
  }

  /** Whether a finding reaches its threshold; No Finding above its own is no warning. */
  const isWarning = (answer, name) =>
    sideOf(answer, name) === "above" && name !== answer.no_finding;

  /** Signed contributions of one class, float32 (h * w), in logits. */
  function cellsOf(answer, contributions, name) {
    const [h, w] = answer.cells;
    const place = answer.classes.indexOf(name);
    return { values: contributions.subarray(place * h * w, (place + 1) * h * w), h, w };
  }

  /**
   * What a score is made of.
   *
   * Returns bias, speaksFor, against (at least 0), logit, all in logits; `shown`, the same in whole
   * hundredths, of which bias + for - against is the logit; and whether no cell speaks for it.
   */
  function evidence(cells, bias, logit) {
    let speaksFor = 0, against = 0, none = true;
    for (const value of cells) {
      if (value > 0) [speaksFor, none] = [speaksFor + value, false];
      else against -= value;
    }
    const exact = { bias: 100 * bias, for: 100 * speaksFor, against: 100 * against };
    const shown = { logit: Math.round(100 * logit) };
    for (const term in exact) shown[term] = Math.round(exact[term]);
    // Rounded figures may miss their sum by 0.01. The term that is nearest to the next hundredth
    // takes it; a sum of nothing stays 0.00.
    const sign = { bias: 1, for: 1, against: -1 };
    const missing = () => shown.logit - (shown.bias + shown.for - shown.against);
    for (let left = missing(); left !== 0; left = missing()) {
      const step = Math.sign(left);
      const errors = Object.keys(exact).map((term) => {
        const moved = shown[term] + step * sign[term];
        const allowed = term === "bias" || (exact[term] > 0 && moved >= 0);
        return [allowed ? Math.abs(moved - exact[term]) : Infinity, term, moved];
      });
      const [, term, moved] = errors.sort((a, b) => a[0] - b[0])[0];
      shown[term] = moved;
    }
    return { bias, speaksFor, against, logit, shown, none };
  }

  /** Where on the scale of logits a probability lies, or null. */
  function logitOf(answer, name, probability) {
    const { slope, bias } = answer.calibration?.[name] ?? { slope: 1, bias: 0 };
    if (!(probability > 0 && probability < 1) || !slope) return null;
    return (Math.log(probability / (1 - probability)) - bias) / slope;
  }

  const isCalibrated = (answer, name) => {
    const { slope, bias } = answer.calibration?.[name] ?? { slope: 1, bias: 0 };
    return slope !== 1 || bias !== 0;
  };

  /** The sentence for a map without any heat; empty for another. */
  function emptyMapSentence(answer, name, sum) {
    if (!sum.none) return "";
    const title = titleOf(answer, name);
    const side = sideOf(answer, name);
    const whose = isPublishers(answer) ? "its publisher's threshold" : "this finding's threshold";
    const limit = side && valueText(answer, answer.threshold[name]);
    const still = side && `, still ${side} ${whose} of ${limit}`;
    return (
      `No cell speaks for ${title}; together they speak against it by ` +
      `${hundredths(sum.shown.against)}; what remains is ` +
      `${valueText(answer, answer.probability[name])}${still}.`
    );
  }

  function row(answer, name, chosen) {
    const value = answer.probability[name];
    const threshold = answer.threshold[name] ?? null;
    const told = thresholdInWords(answer, name);
    const over = isWarning(answer, name);
    const fill = el("i", { class: "cx-fill" });
    const track = el("span", { class: "cx-track", "aria-hidden": "true" }, fill);
    fill.style.width = `${100 * value}%`;
    if (threshold !== null) {
      track.append(el("i", { class: "cx-tick" }));
      track.lastChild.style.left = `${100 * threshold}%`;
    }
    return el(
      "div",
      {
        role: "option",
        class: `cx-row${over ? " cx-over" : ""}`,
        "data-finding": name,
        "aria-selected": String(chosen),
        tabindex: chosen ? "0" : "-1",
        title: `${titleOf(answer, name)}: ${valueText(answer, value)}, ${told}`,
        "aria-label": `${titleOf(answer, name)}, ${valueText(answer, value)}, ${told}`,
      },
      // A shape as well as a colour says that a finding reaches its threshold.
      el("span", { class: "cx-mark", "aria-hidden": "true", text: over ? "▲" : "" }),
      el("span", { class: "cx-name", text: titleOf(answer, name) }),
      track,
      el("span", { class: "cx-value", text: valueText(answer, value) }),
    );
  }

  /** Fill the listbox. The rows' `aria-selected` and `tabindex` are moved by `choose`. */
  function drawList(list, answer, chosen) {
    const order = orderOf(answer);
    list.replaceChildren(...order.map((name) => row(answer, name, name === chosen)));
    list.classList.toggle("cx-with-none", order.at(-1) === answer.no_finding);
  }

  const rowOf = (list, name) => [...list.children].find((one) => one.dataset.finding === name);

  /** Select a row; with `focus` the keyboard goes there too. */
  function choose(list, name, focus = false) {
    for (const one of list.children) {
      const chosen = one.dataset.finding === name;
      one.setAttribute("aria-selected", String(chosen));
      one.tabIndex = chosen ? 0 : -1;
    }
    if (focus) rowOf(list, name)?.focus();
  }

  /** Clicks and keys of the listbox; selection follows the focus, since a heatmap costs nothing. */
  function listen(list, onChoose) {
    list.addEventListener("click", (event) => {
      const one = event.target.closest("[data-finding]");
      if (one) onChoose(one.dataset.finding, true);
    });
    list.addEventListener("keydown", (event) => {
      const rows = [...list.children];
      const at = rows.indexOf(event.target.closest("[data-finding]"));
      const last = rows.length - 1;
      const next = {
        ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, Enter: at, " ": at,
      }[event.key];
      if (at < 0 || next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      onChoose(rows[Math.min(last, Math.max(0, next))].dataset.finding, true);
    });
  }

  const LOGITS = "in logits: the scale on which the network adds; +1 multiplies the odds by 2.7";

  /**
   * The line of figures: start + for - against = score -> probability; of a network that was not
   * calibrated logit -> score.
   */
  function evidenceLine(answer, name, sum) {
    const { shown } = sum;
    const term = (kind, word, title, text = hundredths(shown[kind])) =>
      el("span", { class: `cx-term cx-term-${kind}`, title },
        el("small", { text: `${word} ` }), el("b", { "data-term": kind, text }));
    const logits = (kind, word, title) => term(kind, word, `${title}, ${LOGITS}`);
    const calibrated = valueName(answer) === "probability";
    const after = isCalibrated(answer, name)
      ? "The probability after calibration on validation images"
      : calibrated
        ? "The probability: the logistic function of the score"
        : "The logistic function of the logit: no probability, because nobody calibrated it";
    const start =
      "Bias of the network for this finding, read from the weights; it is not how often it occurs";
    return [
      logits("bias", "start", start), " + ",
      logits("for", "speaks for", "Sum of all cells that speak for the finding"), " − ",
      logits("against", "speaks against", "Sum of all cells that speak against the finding"), " = ",
      logits("logit", calibrated ? "score" : "logit", "The network's score (logit)"), " → ",
      term("probability", valueName(answer), after, valueText(answer, answer.probability[name])),
    ];
  }

  // Two lanes on one scale of logits: up from the bias by what speaks for it, back by what speaks
  // against it; where the second lane ends is the score.
  function evidenceBar(answer, name, sum) {
    const peak = sum.bias + sum.speaksFor;
    const threshold = answer.threshold[name] ?? null;
    const needed = threshold === null ? null : logitOf(answer, name, threshold);
    const ends = [0, sum.bias, peak, sum.logit];
    if (needed !== null && Math.abs(needed) < 20) ends.push(needed);
    const low = Math.min(...ends), span = Math.max(...ends) - low || 1;
    const place = (value) => `${(100 * (value - low)) / span}%`;
    const part = (kind, from, to, title) => {
      const one = el("i", { class: `cx-part cx-part-${kind}`, title, "data-part": kind });
      one.style.left = place(Math.min(from, to));
      one.style.width = `${(100 * Math.abs(to - from)) / span}%`;
      one.hidden = to === from;
      return one;
    };
    const line = (kind, at, title) => {
      const one = el("i", { class: `cx-line cx-line-${kind}`, title });
      one.style.left = place(at);
      return one;
    };
    const bar = el("div", { class: "cx-sum", "aria-hidden": "true" },
      line("zero", 0, `0: ${valueName(answer)} one half, before calibration`),
      part("for", sum.bias, peak, `speaks for it: ${hundredths(sum.shown.for)} logits`),
      part("against", peak, sum.logit, `speaks against it: ${hundredths(sum.shown.against)} logits`),
      line("score", sum.logit, `score: ${hundredths(sum.shown.logit)} logits`));
    const limit = `${thresholdName(answer).slice(4)}: ${valueText(answer, threshold)}`;
    if (ends.length > 4) bar.append(line("threshold", needed, limit));
    return bar;
  }

  /** Everything that is said about the chosen finding, into `box`. */
  function drawDetails(box, answer, name, sum) {
    const over = isWarning(answer, name);
    const told = `${over ? "▲ " : ""}${thresholdInWords(answer, name)}`;
    const head = el("h3", {},
      el("span", { text: titleOf(answer, name) }),
      el("b", { text: valueText(answer, answer.probability[name]) }),
      el("small", { class: over ? "cx-above" : null, text: told }));
    const empty = emptyMapSentence(answer, name, sum);
    box.replaceChildren(
      head,
      el("p", { class: "cx-note", text: answer.notes?.[name] ?? "" }),
      el("p", { class: "cx-evidence" }, ...evidenceLine(answer, name, sum)),
      evidenceBar(answer, name, sum),
      ...(empty ? [el("p", { class: "cx-empty-map", text: empty })] : []),
    );
  }

  Object.assign(cx, {
    el, percent, valueName, valueText, isPublishers, hundredths, titleOf, orderOf, sideOf,
    isWarning, cellsOf, evidence, logitOf, emptyMapSentence, drawList, choose, listen, drawDetails, evidenceLine, LOGITS,
  });
})();
