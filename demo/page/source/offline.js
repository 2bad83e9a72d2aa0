/* The service worker of an exported page, `sw.js` there: from the second visit on the page opens
   without a network, and may use several threads. */

const scope = /** @type {any} */ (self);
scope.importScripts("files.js"); // which sets `files` and `version`
const KEPT = `chexnet ${new URL(scope.registration.scope).pathname} `;
const NAME = KEPT + scope.version;

async function fill() {
  const cache = await caches.open(NAME);
  await cache.addAll(scope.files);
  await scope.skipWaiting();
}

async function clean() {
  for (const name of await caches.keys()) {
    if (name !== NAME && name.startsWith(KEPT)) await caches.delete(name);
  }
  await scope.clients.claim();
}

/** What is large comes once: it is kept on its first way to the page. */
async function fetched(request, cache) {
  const response = await fetch(request);
  if (response.ok && request.url.includes("/onnx/")) await cache.put(request, response.clone());
  return response;
}

/** A kept file, with the headers without which a browser gives a page one thread. */
async function answer(request) {
  const cache = await caches.open(NAME);
  // The page itself comes from its host where that answers: it may have been exported anew.
  const response = request.mode === "navigate"
    ? await fetch(request).catch(() => cache.match("./"))
    : ((await cache.match(request)) ?? (await fetched(request, cache)));
  const headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-embedder-policy", "require-corp");
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

scope.addEventListener("install", (event) => event.waitUntil(fill()));
scope.addEventListener("activate", (event) => event.waitUntil(clean()));
scope.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(scope.registration.scope)) event.respondWith(answer(event.request));
});
