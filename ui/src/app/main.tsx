import { startTransition, StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "@/app/app";

import { registerServiceWorker } from "@/app/service-worker";

import "@/app/theme.css";
import "@/app/print.css";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root.");
const page = createRoot(root);
// In small tasks, so that the browser can paint in between.
startTransition(() => {
  page.render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
});
registerServiceWorker();
