import { useEffect } from "react";

/** What can be done by keyboard. */
export type CommandName =
  | "newChat"
  | "search"
  | "previous"
  | "next"
  | "settings"
  | "rail"
  | "focus"
  | "models"
  | "status"
  | "keys"
  | "sheet";

/** A key with what is held beside it; "Mod" is Ctrl, and Command where there is one. */
interface Binding {
  command: CommandName;
  keys: readonly string[];
}

/** The order is that of the sheet. Keys without Mod or Alt do nothing while one types. */
export const bindings: readonly Binding[] = [
  { command: "newChat", keys: ["Mod", "Shift", "O"] },
  { command: "search", keys: ["Mod", "K"] },
  { command: "previous", keys: ["Alt", "ArrowUp"] },
  { command: "next", keys: ["Alt", "ArrowDown"] },
  { command: "focus", keys: ["/"] },
  { command: "settings", keys: ["Mod", ","] },
  { command: "rail", keys: ["Mod", "B"] },
  { command: "models", keys: ["G", "M"] },
  { command: "keys", keys: ["G", "K"] },
  { command: "status", keys: ["G", "S"] },
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

/** Runs commands by their keys. In a dialog, what is behind it rests. */
export function useCommands(commands: Commands) {
  useEffect(() => {
    let before = "";
    let beforeAt = 0;
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || event.repeat) return;
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
