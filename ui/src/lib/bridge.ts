import { saveFile } from "@/lib/save-file";

/** What the desktop window can do, and a page can't. */
interface WindowApi {
  /** The path, or null if cancelled. */
  save_file: (name: string, text: string) => Promise<string | null>;
  open_file: () => Promise<{ name: string; text: string } | null>;
  answer_closing: (answer: ClosingAnswer) => Promise<void>;
}

/** To whether the window may close while a reply is being written: the person is being asked; finish
 * it, unseen, and close; stop it and close; stay open. */
type ClosingAnswer = "asked" | "finish" | "stop" | "stay";

declare global {
  interface Window {
    pywebview?: { api?: Partial<WindowApi> };
  }
}

function windowApi(): Partial<WindowApi> {
  return window.pywebview?.api ?? {};
}

/** Calls `ask` whenever the desktop window is to close while a reply is being written; what it gives
 * back stops that. */
export function onClosing(ask: () => void): () => void {
  const asked = () => {
    answerClosing("asked");
    ask();
  };
  window.addEventListener("applianceclosing", asked);
  return () => {
    window.removeEventListener("applianceclosing", asked);
  };
}

export function answerClosing(answer: ClosingAnswer): void {
  void windowApi().answer_closing?.(answer);
}

/** Saves a file: the desktop window asks where, a browser downloads it. */
export async function giveFile(name: string, content: Blob): Promise<void> {
  const { save_file } = windowApi();
  if (save_file) await save_file(name, await content.text());
  else saveFile(name, content);
}

/** Asks for files; none if none was chosen. The desktop window gives one at a time. */
export async function takeFiles(): Promise<{ name: string; content: Blob }[]> {
  const { open_file } = windowApi();
  if (!open_file) return chooseFiles();
  const file = await open_file();
  return file ? [{ name: file.name, content: new Blob([file.text]) }] : [];
}

function chooseFiles(): Promise<{ name: string; content: Blob }[]> {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.accept = ".json,.jsonl,.zip,.db,.sqlite,.sqlite3,application/json,application/zip";
  return new Promise((resolve) => {
    input.addEventListener("change", () => {
      resolve(Array.from(input.files ?? [], (file) => ({ name: file.name, content: file })));
    });
    input.addEventListener("cancel", () => {
      resolve([]);
    });
    input.click();
  });
}
