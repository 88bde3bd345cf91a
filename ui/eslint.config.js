import { readdirSync } from "node:fs";

import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const features = readdirSync(`${import.meta.dirname}/src/features`);

/** Files of a folder, and the folders that it must not import. */
function border(files, forbidden, message) {
  return {
    files,
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              regex: "^\\.\\./",
              message: "Use ./ only within a folder, and @/folder/file for everything else.",
            },
            ...(forbidden ? [{ regex: `^@/(${forbidden})(/|$)`, message }] : []),
          ],
        },
      ],
    },
  };
}

export default defineConfig(
  globalIgnores(["dist", "src/api/types.gen.ts"]),
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [
      tseslint.configs.strictTypeChecked,
      tseslint.configs.stylisticTypeChecked,
      reactHooks.configs.flat.recommended,
    ],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  border(["src/**"], null, ""),
  border(["src/lib/**"], "api|components|features|app", "lib imports no other folder."),
  border(["src/api/**"], "components|features|app", "api imports only lib."),
  border(["src/components/**"], "api|features|app", "components import only lib: they know nothing about the API or the features."),
  ...features.map((name) =>
    border(
      [`src/features/${name}/**`],
      `app|features/(?!${name}/)[^/]+`,
      "A feature imports the shared folders only; app/ combines features.",
    ),
  ),
);
