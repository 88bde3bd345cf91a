import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const icons = "../packaging/icons";

const manifest = {
  name: "Appliance",
  short_name: "Appliance",
  description: "Language models on your own machine.",
  start_url: "/",
  scope: "/",
  display: "standalone",
  background_color: "#17181b",
  theme_color: "#17181b",
  icons: [
    { src: "/assets/icon-512.png", sizes: "512x512", type: "image/png" },
    { src: "/assets/icon-256.png", sizes: "256x256", type: "image/png" },
  ],
};

/**
 * Makes the page installable: its manifest and icons, and the list of files that are kept for when
 * the server does not answer.
 *
 * @returns {import("vite").Plugin}
 */
export function installable() {
  return {
    name: "installable",
    apply: "build",
    generateBundle(_, bundle) {
      const built = Object.keys(bundle)
        .filter((name) => name.startsWith("assets/") && /\.(js|css|svg|woff2)$/.test(name))
        .map((name) => `/${name}`);
      const index = Object.values(bundle).find(({ name, isEntry }) => isEntry && name === "index");
      const first = [index.fileName, ...index.imports, ...index.viteMetadata.importedCss].map(
        (name) => `/${name}`,
      );
      const worker = bundle["service-worker.js"];
      if (worker?.type !== "chunk") throw new Error("There is no service worker.");
      const id = createHash("sha256").update(built.join()).digest("hex").slice(0, 16);
      worker.code = worker.code
        .replaceAll("FIRST_FILES", JSON.stringify(first))
        .replaceAll("BUILT_FILES", JSON.stringify(built))
        .replaceAll("BUILD_ID", JSON.stringify(id));
      const emit = (name, source) =>
        this.emitFile({ type: "asset", fileName: `assets/${name}`, source });
      emit("manifest.json", JSON.stringify(manifest));
      for (const size of [256, 512]) {
        emit(`icon-${size}.png`, readFileSync(`${import.meta.dirname}/${icons}/icon-${size}.png`));
      }
    },
    transformIndexHtml: () => [
      { tag: "link", attrs: { rel: "manifest", href: "/assets/manifest.json" }, injectTo: "head" },
      {
        tag: "link",
        attrs: { rel: "apple-touch-icon", href: "/assets/icon-256.png" },
        injectTo: "head",
      },
    ],
  };
}
