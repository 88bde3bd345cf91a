import { startTransition, StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "@/app/app";

import "@/app/theme.css";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root.");
const page = createRoot(root);
// In small tasks: a browser that is asked for the first frame meanwhile can give it.
startTransition(() => {
  page.render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
});
