// What the page finds in the window: window.pywebview.api, then the event "applianceready".
// pywebview's own way to make these functions needs eval, which the page's content policy forbids.
(() => {
  const { pywebview } = window;
  const call = (name, ...args) =>
    new Promise((resolve, reject) => {
      const id = String(Math.random()).slice(2);
      pywebview._returnValuesCallbacks[name] ??= {};
      pywebview._checkValue(name, resolve, reject, id);
      pywebview._jsApiCallback(name, args, id);
    });
  for (const name of ["save_file", "open_file", "open_external", "zoom", "answer_closing"]) {
    pywebview.api[name] = (...args) => call(name, ...args);
  }

  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const step = { "+": 1, "=": 1, "-": -1, 0: 0 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    void pywebview.api.zoom(step);
  });
  // Whatever would lead away from the appliance goes to the browser.
  addEventListener(
    "click",
    (event) => {
      const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
      if (!link || link.origin === location.origin) return;
      event.preventDefault();
      event.stopPropagation();
      void pywebview.api.open_external(link.href);
    },
    true,
  );

  dispatchEvent(new CustomEvent("applianceready"));
  // Ready is what a person would call so: the page has content, and a frame of it was drawn.
  const look = () =>
    document.getElementById("root")?.childElementCount
      ? requestAnimationFrame(() => void call("ready"))
      : setTimeout(look, 50);
  look();
})();
