import { listDrafts, putDraft } from "@/api/organizing";
import type { ChatStore } from "@/features/chat/state/chat-store";
import { temporaryId } from "@/features/chat/state/temporary";

/** How long nothing is typed before a draft is stored. */
const pauseMs = 700;
/** Characters that the server stores of a draft; a longer one stays in this page. */
const longest = 100_000;

/**
 * Stores drafts at the server, so that a reload and another device have them. Returns what reads them, which
 * leaves those alone that were changed here.
 */
export function keepDrafts(chat: ChatStore): () => Promise<void> {
  /** As the server has them. */
  const stored = new Map<string, string>();
  const waiting = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const textOf = (id: string) => chat.getState().drafts[id] ?? "";

  function store() {
    clearTimeout(timer);
    for (const id of waiting) {
      const text = textOf(id);
      const before = stored.get(id) ?? "";
      if (text === before || text.length > longest) continue;
      stored.set(id, text);
      putDraft(id, text).catch(() => {
        // The next change tries again.
        stored.set(id, before);
      });
    }
    waiting.clear();
  }

  chat.subscribe(({ drafts }, { drafts: before }) => {
    if (drafts === before) return;
    for (const id of Object.keys(drafts)) {
      if (id === temporaryId || drafts[id] === before[id]) continue;
      waiting.add(id);
      clearTimeout(timer);
      // What was sent must not come back.
      timer = setTimeout(store, drafts[id] === "" ? 0 : pauseMs);
    }
  });
  window.addEventListener("pagehide", store);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") store();
    else void read();
  });

  async function read() {
    try {
      const found = await listDrafts();
      const news: Record<string, string> = {};
      for (const id of new Set([...stored.keys(), ...Object.keys(found)])) {
        const text = found[id] ?? "";
        const own = textOf(id);
        if (own === (stored.get(id) ?? "") && own !== text && !waiting.has(id)) news[id] = text;
        stored.set(id, text);
      }
      if (Object.keys(news).length === 0) return;
      chat.setState(({ drafts }) => ({ drafts: { ...drafts, ...news } }));
    } catch {
      return;
    }
  }
  return read;
}
