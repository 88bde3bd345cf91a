import axe from "axe-core";

/** What axe finds wrong with the page, as "rule: element" lines. jsdom lays nothing out, so rules
 * about what is seen (contrast, overflow) are a browser's to check. */
export async function axeViolations(): Promise<string[]> {
  const { violations } = await axe.run(document.body, {
    rules: { "color-contrast": { enabled: false } },
  });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}
