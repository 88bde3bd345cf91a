import { createStore } from "zustand/vanilla";

import { readStored, writeStored } from "@/lib/stored";

/** How code is shown everywhere in this browser. */
interface CodeView {
  wrapped: boolean;
  numbered: boolean;
}

export const codeView = createStore<CodeView>(() => ({
  wrapped: readStored("code-wrapped") === "yes",
  numbered: readStored("code-numbered") === "yes",
}));

export function toggle(name: keyof CodeView) {
  const on = !codeView.getState()[name];
  codeView.setState({ [name]: on });
  writeStored(`code-${name}`, on ? "yes" : "no");
}
