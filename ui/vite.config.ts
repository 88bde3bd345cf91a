import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
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

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { tsconfigPaths: true },
  build: {
    target: "es2022",
    // The page's content security policy, default-src 'self', forbids data: URLs.
    assetsInlineLimit: 0,
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
