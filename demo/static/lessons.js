// The tab "Lessons": one page at a time; what a page needs is asked for when it is first opened.
(() => {
  "use strict";
  const cx = (window.chexnet ??= {});

  function mountLessons(root) {
    const pages = [...root.querySelectorAll("article[data-lesson]")];
    const buttons = [...root.querySelectorAll("[data-open]")];
    const begin = new Map(pages.map((page) => [page.dataset.lesson, cx.lessons[page.dataset.lesson]?.(page)]));
    let now = pages[0].dataset.lesson;

    async function start() {
      try {
        await begin.get(now)?.();
      } catch (error) {
        const wait = root.querySelector(`article[data-lesson="${now}"] .cx-t-wait`);
        if (wait) wait.textContent = error.message;
      }
    }

    /** Show one lesson; the heading is told to whoever listens instead of looking. */
    function open(name, focus = false) {
      now = name;
      for (const page of pages) page.hidden = page.dataset.lesson !== name;
      for (const button of buttons) button.setAttribute("aria-current", String(button.dataset.open === name));
      if (focus) root.querySelector(`article[data-lesson="${name}"] h2`).focus();
      return start();
    }
    root.addEventListener("click", (event) => {
      const name = event.target.closest("button")?.dataset.open;
      if (name) open(name, true);
    });
    for (const page of pages) page.hidden = page.dataset.lesson !== now;
    cx.teaching.whenSeen(root, start);
    return { open };
  }

  cx.mountLessons = mountLessons;
})();
