const afterMs = 5000;

/** Lets the page open without its server, where a browser allows it; not in the desktop window,
 * which starts its own server. */
export function registerServiceWorker() {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  setTimeout(() => {
    if ("pywebview" in window) return;
    // A server that has no such file is no fault of the page.
    navigator.serviceWorker.register("/service-worker.js").catch(() => undefined);
  }, afterMs);
}
