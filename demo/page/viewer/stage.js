// The place where the picture lies: zoom by wheel and pinch, pan by drag, keys, compare line.

const MOST = 12; // a cell of 8 x 8 then fills a screen
const STEP = 1.25;

/** Size in CSS pixels at which a picture just fits into a stage. */
export function fitted(stage, picture) {
  const scale = Math.min(stage.width / picture.width, stage.height / picture.height);
  return { width: picture.width * scale, height: picture.height * scale };
}

/** A view whose picture covers the stage where it can and stands in the middle where it cannot. */
export function clamped(view, stage, fit) {
  const along = (offset, size, room) =>
    size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, offset));
  return {
    zoom: view.zoom,
    x: along(view.x, fit.width * view.zoom, stage.width),
    y: along(view.y, fit.height * view.zoom, stage.height),
  };
}

/** The view after zooming by a factor around a point of the stage, which stays where it is. */
export function zoomed(view, factor, at, stage, fit) {
  const zoom = Math.min(MOST, Math.max(1, view.zoom * factor));
  const ratio = zoom / view.zoom;
  const moved = { zoom, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
  return clamped(moved, stage, fit);
}

/**
 * Make a stage answer to a visitor.
 *
 * parts: {stage, layer, canvas, handle}; on: {moved(view), hide(bool), split()}.
 * Returns {view, fit(), zoomBy(factor), splitColumn(width), visible(width, height), picture(w, h)}.
 */
export function makeStage({ stage, layer, canvas, handle }, on) {
  let view = { zoom: 1, x: 0, y: 0 };
  let picture = { width: 1, height: 1 };
  let split = 0.5; // of the stage's width
  const pointers = new Map();

  const size = () => ({ width: stage.clientWidth, height: stage.clientHeight });
  const middle = () => ({ x: stage.clientWidth / 2, y: stage.clientHeight / 2 });
  const pointOf = (event) => {
    const { left, top } = stage.getBoundingClientRect();
    return { x: event.clientX - left - stage.clientLeft, y: event.clientY - top - stage.clientTop };
  };

  function place() {
    const fit = fitted(size(), picture);
    view = clamped(view, size(), fit);
    layer.style.left = `${view.x}px`;
    layer.style.top = `${view.y}px`;
    layer.style.width = `${fit.width * view.zoom}px`;
    layer.style.height = `${fit.height * view.zoom}px`;
    // At its full size one finger scrolls the page; a magnified picture is moved by it.
    canvas.style.touchAction = view.zoom > 1 ? "none" : "pan-y";
    stage.classList.toggle("cx-zoomed", view.zoom > 1);
    handle.style.left = `${100 * split}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(100 * split)));
    on.moved(view);
  }

  function zoomBy(factor, at = middle()) {
    view = zoomed(view, factor, at, size(), fitted(size(), picture));
    place();
  }

  function panBy(x, y) {
    view = { ...view, x: view.x + x, y: view.y + y };
    place();
  }

  function fit() {
    view = { zoom: 1, x: 0, y: 0 };
    place();
  }

  function setSplit(share) {
    split = Math.min(1, Math.max(0, share));
    place();
    on.split();
  }

  canvas.addEventListener("wheel", (event) => {
    // Smaller than the whole it does not get: then the page scrolls, as it would elsewhere.
    if (view.zoom === 1 && event.deltaY > 0) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1; // Firefox counts lines
    zoomBy(Math.exp(-event.deltaY * lines * 0.002), pointOf(event));
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => {
    if (view.zoom > 1) fit();
    else zoomBy(2.5, pointOf(event));
  });

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, pointOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = pointOf(event);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    if (!other) return panBy(now.x - before.x, now.y - before.y);
    const apart = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
    zoomBy(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    panBy((now.x - before.x) / 2, (now.y - before.y) / 2);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => pointers.delete(event.pointerId));
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.1 * stage.clientWidth;
    const does = {
      "+": () => zoomBy(STEP), "=": () => zoomBy(STEP), "-": () => zoomBy(1 / STEP),
      0: fit, f: fit, F: fit, " ": () => on.hide(true),
      ArrowLeft: () => panBy(step, 0), ArrowRight: () => panBy(-step, 0),
      ArrowUp: () => panBy(0, step), ArrowDown: () => panBy(0, -step),
    }[event.key];
    if (!does || (event.key.startsWith("Arrow") && view.zoom === 1)) return;
    event.preventDefault();
    does();
  });
  canvas.addEventListener("keyup", (event) => event.key === " " && on.hide(false));
  canvas.addEventListener("blur", () => on.hide(false));

  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    event.preventDefault();
    handle.focus();
  });
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) setSplit(pointOf(event).x / stage.clientWidth);
  });
  handle.addEventListener("keydown", (event) => {
    const to = {
      ArrowLeft: split - 0.02, ArrowRight: split + 0.02, ArrowDown: split - 0.02,
      ArrowUp: split + 0.02, Home: 0, End: 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    setSplit(to);
  });

  new ResizeObserver(place).observe(stage);

  return {
    get view() { return view; },
    fit,
    zoomBy,
    setSplit,
    /** The picture's own size in pixels; it is then shown whole. */
    picture(width, height) {
      picture = { width, height };
      fit();
    },
    /** The column of a picture of `width` pixels at which the compare line stands. */
    splitColumn: (width) =>
      ((split * stage.clientWidth - view.x) / (fitted(size(), picture).width * view.zoom)) * width,
    /** What of the picture is in sight, in its pixels: {x, y, width, height}. */
    visible() {
      const scale = (fitted(size(), picture).width * view.zoom) / picture.width || 1;
      const x = Math.max(0, -view.x / scale), y = Math.max(0, -view.y / scale);
      return {
        x, y,
        width: Math.min(picture.width - x, stage.clientWidth / scale),
        height: Math.min(picture.height - y, stage.clientHeight / scale),
      };
    },
  };
}
