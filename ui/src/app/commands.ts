import { useEffect } from "react";

import { pageViews, type PageViewName } from "@/app/views";
import { isComposing } from "@/lib/typing/keys";

/** What keyboard shortcuts can do. */
export type CommandName =
  | "newChat"
  | "search"
  | "previous"
  | "next"
  | "settings"
  | "rail"
  | "focus"
  | "sheet"
  | PageViewName;

/** A key with its modifiers, or keys in sequence; "Mod" is Ctrl, or Command on Apple systems. */
interface Binding {
  command: CommandName;
  keys: readonly string[];
}

/** In the order of the sheet. Keys without Mod or Alt are ignored while typing. */
export const bindings: readonly Binding[] = [
  { command: "newChat", keys: ["Mod", "Shift", "O"] },
  { command: "search", keys: ["Mod", "K"] },
  { command: "previous", keys: ["Alt", "ArrowUp"] },
  { command: "next", keys: ["Alt", "ArrowDown"] },
  { command: "focus", keys: ["/"] },
  { command: "settings", keys: ["Mod", ","] },
  { command: "rail", keys: ["Mod", "B"] },
  ...pageViews.map(({ name, keys }) => ({ command: name, keys })),
  { command: "sheet", keys: ["?"] },
  { command: "sheet", keys: ["Mod", "/"] },
];

export type Commands = Partial<Record<CommandName, () => void>>;

const sequenceMs = 1500;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["radio", "checkbox", "range"].includes(target.type);
  return target.isContentEditable || target.matches("textarea, select");
}

/** Whether the event is the last key of a binding; `before` is the key pressed before it. */
function matches({ keys }: Binding, event: KeyboardEvent, before: string): boolean {
  const last = keys.at(-1) ?? "";
  const first = keys[0] ?? "";
  const held = event.ctrlKey || event.metaKey;
  if (held !== (first === "Mod") || event.altKey !== (first === "Alt")) return false;
  if (event.key.toLowerCase() !== last.toLowerCase()) return false;
  if (first === "Mod") return event.shiftKey === keys.includes("Shift") || !/^[a-z]$/i.test(last);
  return first === "Alt" || keys.length === 1 || before === first.toLowerCase();
}

/** Runs commands by their keys. While a dialog is open, they are disabled. */
export function useCommands(commands: Commands) {
  useEffect(() => {
    let before = "";
    let beforeAt = 0;
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isComposing(event) || event.repeat) return;
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
      if (plain && isTyping(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      const recent = Date.now() - beforeAt < sequenceMs ? before : "";
      before = event.key.toLowerCase();
      beforeAt = Date.now();
      const binding = bindings.find((one) => matches(one, event, recent));
      const run = binding && commands[binding.command];
      if (!run) return;
      event.preventDefault();
      run();
    };
    window.addEventListener("keydown", pressed);
    return () => {
      window.removeEventListener("keydown", pressed);
    };
  }, [commands]);
}
