import { afterEach, describe, expect, it } from "vitest";

import { browserLanguage, languageNames, showLanguage, type Language } from "@/lib/i18n";
import de from "@/locales/de.json";
import en from "@/locales/en.json";

const sources = import.meta.glob<string>(["/src/**/*.{ts,tsx}", "!/src/**/*.test.*"], {
  query: "?raw",
  import: "default",
  eager: true,
});
const sheets = import.meta.glob<string>("/src/**/*.css", {
  query: "?raw",
  import: "default",
  eager: true,
});

/** Every text by its path. */
function texts(tree: object, path = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(tree) as [string, string | object][]) {
    const here = path === "" ? key : `${path}.${key}`;
    if (typeof value === "string") found.set(here, value);
    else texts(value, here).forEach((text, key) => found.set(key, text));
  }
  return found;
}

const placesIn = (text: string) => (text.match(/\{\{\w+\}\}/g) ?? []).sort();

afterEach(() => showLanguage("en"));

describe("the languages", () => {
  const english = texts(en);
  const german = texts(de);

  it("have the same texts, with the same places in them", () => {
    expect([...german.keys()]).toEqual([...english.keys()]);
    for (const [key, text] of english) {
      expect([key, placesIn(german.get(key) ?? "")]).toEqual([key, placesIn(text)]);
    }
  });

  it("are used: no text that nothing shows", () => {
    const code = Object.values(sources).join("\n");
    const unused = [...english.keys()].filter((key) => {
      const plain = key.replace(/_(one|other)$/, "");
      const group = plain.slice(0, plain.lastIndexOf("."));
      return !code.includes(`"${plain}"`) && !code.includes(`\`${group}.\${`);
    });
    expect(unused).toEqual([]);
  });

  it("are shown with their own direction and name for readers", async () => {
    for (const language of Object.keys(languageNames) as Language[]) {
      await showLanguage(language);
      expect(document.documentElement.lang).toBe(language);
      expect(document.documentElement.dir).toBe("ltr");
    }
  });

  it("are chosen by what the browser wants", () => {
    expect(browserLanguage(["de-AT", "en"])).toBe("de");
    expect(browserLanguage(["fr", "EN-us"])).toBe("en");
    expect(browserLanguage(["fr"])).toBe("en");
  });
});

it("the page has no left or right that would be wrong from right to left", () => {
  const physical =
    /(?<![\w-])(?:-?(?:left|right|ml|mr|pl|pr)-[\w[(]|text-(?:left|right)|rounded-[lr]-|border-[lr](?![\w-])|(?:margin|padding|border)-(?:left|right))/;
  const wrong = Object.entries({ ...sources, ...sheets }).filter(([, text]) => physical.test(text));
  expect(wrong.map(([name]) => name)).toEqual([]);
});
