/** Copied text has formulas as they were written, not what KaTeX makes of them. */
export function copyFormulas(event: ClipboardEvent) {
  const selection = getSelection();
  if (!event.clipboardData || !selection || selection.isCollapsed) return;
  const range = selection.getRangeAt(0).cloneRange();
  const [first, last] = [formulaAround(range.startContainer), formulaAround(range.endContainer)];
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const box = document.createElement("div");
  box.append(range.cloneContents());
  const formulas = box.querySelectorAll<HTMLElement>(".formula");
  if (formulas.length === 0) return;
  for (const formula of formulas) {
    formula.textContent = formula.dataset.source ?? "";
    formula.style.whiteSpace = "pre";
  }
  // Only what is laid out has line ends between its paragraphs.
  box.className = "fixed opacity-0";
  document.body.append(box);
  event.clipboardData.setData("text/plain", box.innerText);
  event.clipboardData.setData("text/html", box.innerHTML);
  box.remove();
  event.preventDefault();
}

function formulaAround(node: Node): Element | null {
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest(".formula") ?? null;
}
