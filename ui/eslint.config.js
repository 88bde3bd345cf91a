import { readdirSync } from "node:fs";

import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const features = readdirSync(`${import.meta.dirname}/src/features`);

/** Files of a room, and the rooms that it must not know. */
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
              message: "Only ./ within a folder; everything else by its room: @/room/file.",
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
  border(["src/lib/**"], "api|components|features|app", "lib knows no other room."),
  border(["src/api/**"], "components|features|app", "api knows only lib."),
  border(["src/components/**"], "api|features|app", "Components use no business words: only lib."),
  ...features.map((name) =>
    border(
      [`src/features/${name}/**`],
      `app|features/(?!${name}/)[^/]+`,
      "A feature knows the shared rooms only; app/ puts features together.",
    ),
  ),
);
