/*
 * Keeps the page's document and files, so that the page opens while its server does not answer,
 * and says so, instead of the browser's error. Nothing of the API is ever kept.
 */

// A module, so that `self` can be declared again.
export {};

declare const self: ServiceWorkerGlobalScope;
/** The files of this build; put there by the build. */
declare const BUILT_FILES: readonly string[];
/** Those of them that the page begins with. */
declare const FIRST_FILES: readonly string[];
/** Differs from build to build. */
declare const BUILD_ID: string;

const shell = "/";
const cacheName = `page ${BUILD_ID}`;

self.addEventListener("install", (event) => {
  event.waitUntil(keepFiles().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && url.pathname === shell && url.search === "") {
    event.respondWith(documentOf(request));
  } else if (BUILT_FILES.includes(url.pathname)) {
    event.respondWith(fileOf(request));
  }
});

async function keepFiles(): Promise<void> {
  const cache = await caches.open(cacheName);
  // A browser gets the page for `Accept: text/html` alone.
  const page = await fetch(shell, { headers: { Accept: "text/html" }, cache: "no-cache" });
  if (!isPage(page)) throw new Error("There is no page.");
  await cache.put(shell, page);
  await cache.addAll(FIRST_FILES);
}

async function forgetOthers(): Promise<void> {
  const others = (await caches.keys()).filter((name) => name !== cacheName);
  await Promise.all(others.map((name) => caches.delete(name)));
}

function isPage(response: Response): boolean {
  return response.ok && (response.headers.get("Content-Type") ?? "").startsWith("text/html");
}

/** From the server, if it answers: it may have been upgraded. */
async function documentOf(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(shell);
    if (kept) return kept;
    throw error;
  }
}

/** Kept ones first: their names change with their content. Others are kept once they were used. */
async function fileOf(request: Request): Promise<Response> {
  const kept = await caches.match(request);
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok) await (await caches.open(cacheName)).put(request, response.clone());
  return response;
}
