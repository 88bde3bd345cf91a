import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { installable } from "./installable.js";
import { configDefaults, defineConfig } from "vitest/config";

// The appliance accepts only its own host name, and no pages from other origins.
const appliance = {
  target: "http://127.0.0.1:3000",
  changeOrigin: true,
  headers: { origin: "http://127.0.0.1:3000", "sec-fetch-site": "same-origin" },
};

// Tests that replace a module, which is imported anew for each of them.
const alone = [
  "src/components/markdown/long-blocks.test.tsx",
  "src/features/chat/growing.test.tsx",
];

/** KaTeX's style sheet without the font formats that no browser needs beside woff2. */
const oneFontFormat: Plugin = {
  name: "one-font-format",
  enforce: "pre",
  transform: {
    filter: { id: /katex\.min\.css$/ },
    handler: (code) => code.replace(/,url\([^)]+\.(?:woff|ttf)\) format\("\w+"\)/g, ""),
  },
};

export default defineConfig({
  plugins: [oneFontFormat, react(), tailwindcss(), installable()],
  resolve: { tsconfigPaths: true },
  build: {
    target: "es2022",
    // The page's content security policy, default-src 'self', forbids data: URLs.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { index: "index.html", "service-worker": "src/service-worker/service-worker.ts" },
      output: {
        // The address of a service worker stays, and everything below it is its scope.
        entryFileNames: ({ name }) =>
          name === "service-worker" ? "[name].js" : "assets/[name]-[hash].js",
      },
    },
  },
  server: {
    proxy: { "/api": appliance, "/chat": { ...appliance, ws: true } },
  },
  test: {
    environment: "jsdom",
    setupFiles: ["./src/testing/setup.ts"],
    css: true,
    testTimeout: 60_000,
    restoreMocks: true,
    unstubGlobals: true,
    // Most share the imported modules of their process: importing takes longer than testing.
    projects: [
      {
        extends: true,
        test: { name: "together", isolate: false, exclude: [...configDefaults.exclude, ...alone] },
      },
      { extends: true, test: { name: "alone", include: alone } },
    ],
  },
});
