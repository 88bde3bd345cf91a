import { createStore, type StoreApi } from "zustand/vanilla";

import { ApiError, Unreachable } from "@/api/client";
import { createSession, getSession, listMessages, stopReply } from "@/api/endpoints";
import { followReply, type ReplySource } from "@/api/follow-reply";
import type { Message, Session } from "@/api/types";
import { messageTable } from "@/features/chat/branch";
import {
  draftKey,
  isBusy,
  type ChatState,
  type ChatStoreDeps,
} from "@/features/chat/chat-state";
import { toNotice, type Notice } from "@/features/chat/notice";
import { newRun, wasStored, type Run, type Unsure } from "@/features/chat/run";
import { titleFor } from "@/features/chat/title-for";
import { backOff, sleep } from "@/lib/back-off";
import { codePointLength } from "@/lib/code-points";
import { createFrameBatch } from "@/lib/frame-batch";

export type ChatStore = StoreApi<ChatState>;

const nothingShown = {
  messages: {},
  leafId: null,
  pending: null,
  live: null,
  stopping: false,
  notice: null,
} satisfies Partial<ChatState>;

export function createChatStore(deps: ChatStoreDeps): ChatStore {
  let current: Run | null = null;
  let unsure: Unsure | null = null;

  return createStore<ChatState>()((set, get) => {
    function begin(run: Run): Run {
      leave();
      current = run;
      return run;
    }

    function leave() {
      if (!current) return;
      current.left = true;
      if (current.accepted) current.abort.abort();
      current = null;
    }

    function noticeOf(error: unknown): Notice {
      if (error instanceof Unreachable) deps.onUnreachable();
      return toNotice(error);
    }

    function setDraftOf(key: string, text: string) {
      set(({ drafts }) => ({ drafts: { ...drafts, [key]: text } }));
    }

    /** Nothing typed is lost: what failed goes in front of what was typed since. */
    function giveBack(key: string, content: string) {
      const since = get().drafts[key] ?? "";
      setDraftOf(key, since === "" ? content : `${content}\n\n${since}`);
    }

    /** Shows what the server has; the text of the reply under way, if there is one. */
    function show(session: Session, list: readonly Message[]): string | null {
      const messages = messageTable(list);
      const { live_message_id: liveId, leaf_id: leafId } = session;
      const underWay = liveId === null ? undefined : messages[liveId];
      const tip = underWay ?? (leafId === null ? undefined : messages[leafId]);
      const live = tip?.status === "streaming" ? tip : null;
      settleUnsure(session.id, list);
      set({
        phase: "ready",
        messages,
        leafId: tip?.id ?? null,
        pending: null,
        live: live && { id: live.id, text: live.content, prefill: null, linked: true },
      });
      return live === null ? null : live.content;
    }

    function settleUnsure(sessionId: string, list: readonly Message[]) {
      const lost = unsure;
      if (lost?.sessionId !== sessionId) return;
      unsure = null;
      if (!wasStored(lost, list)) return;
      set({ notice: null });
      if (get().drafts[sessionId] === lost.content) setDraftOf(sessionId, "");
    }

    /** Follows one reply to its end; "gone": it ended out of sight. */
    async function follow(run: Run, source: ReplySource): Promise<"ended" | "gone"> {
      const batch = createFrameBatch<string>((parts) => {
        if (run.left) return;
        set(({ live }) => ({ live: live && { ...live, text: live.text + parts.join("") } }));
      });
      try {
        for await (const event of followReply(source, run.abort.signal)) {
          if (event.type === "turn") {
            run.accepted = true;
            deps.onSessionChanged();
            if (run.stopWanted) void stopReply(run.sessionId).catch(() => undefined);
          }
          if (run.left) {
            run.abort.abort();
            return "ended";
          }
          switch (event.type) {
            case "turn": {
              const { user, reply } = event;
              set(({ messages }) => ({
                messages: { ...messages, [user.id]: user, [reply.id]: reply },
                leafId: reply.id,
                pending: null,
                live: { id: reply.id, text: reply.content, prefill: null, linked: true },
              }));
              break;
            }
            case "prefill":
              set(({ live }) => ({ live: live && { ...live, prefill: event } }));
              break;
            case "delta":
              batch.push(event.text);
              break;
            case "link":
              if (!event.up) deps.onUnreachable();
              set(({ live }) => ({ live: live && { ...live, linked: event.up } }));
              break;
            case "done":
            case "error": {
              const { message } = event;
              batch.cancel();
              set(({ messages }) => ({
                messages: { ...messages, [message.id]: message },
                leafId: message.id,
                pending: null,
                live: null,
              }));
              deps.onSessionChanged();
              return "ended";
            }
            case "gone":
              return "gone";
          }
        }
        return "ended";
      } finally {
        batch.flush();
      }
    }

    /** Reads the session, and follows the reply under way until there is none. */
    async function attach(run: Run) {
      const { signal } = run.abort;
      for (let attempt = 0; ; attempt += 1) {
        const session = await getSession(run.sessionId, signal);
        const messages = await listMessages(run.sessionId, signal);
        signal.throwIfAborted();
        const text = show(session, messages);
        if (text === null) break;
        const from = codePointLength(text);
        if ((await follow(run, { sessionId: run.sessionId, from })) === "ended") return;
        await sleep(backOff(attempt), signal);
      }
      deps.onSessionChanged();
    }

    function end(run: Run) {
      if (current !== run) return;
      current = null;
      set({ stopping: false });
    }

    async function load(sessionId: string) {
      const run = begin(newRun(sessionId, true));
      try {
        await attach(run);
      } catch (error) {
        if (run.left) return;
        const notice = noticeOf(error);
        if (error instanceof ApiError && error.status === 404) {
          set({ ...nothingShown, phase: "missing" });
        } else if (get().phase === "loading") {
          set({ phase: "failed", notice });
        } else {
          set(({ live }) => ({ live: live && { ...live, linked: false } }));
        }
      } finally {
        end(run);
      }
    }

    async function ask(content: string, parentId: string | null, returnTo: "draft" | "nowhere") {
      const { sessionId, leafId } = get();
      const run = begin(newRun(draftKey(sessionId), false));
      set({ pending: content, leafId: parentId, notice: null, stopping: false });
      try {
        if (sessionId === null) {
          const session = await createSession(titleFor(content));
          run.sessionId = session.id;
          if (!run.left) {
            set({ sessionId: session.id });
            deps.onSessionCreated(session);
          }
        }
        const turn = { content, parent_id: parentId };
        if ((await follow(run, { sessionId: run.sessionId, turn })) === "gone") await attach(run);
      } catch (error) {
        if (run.accepted && run.left) return;
        if (!run.accepted) {
          unsure = { sessionId: run.sessionId, parentId, content };
          if (returnTo === "draft") giveBack(run.sessionId, content);
        }
        const notice = noticeOf(error);
        if (run.left) return;
        if (notice.code === "unreachable" && !run.accepted && returnTo === "draft") {
          notice.message = "The message was not sent, and is kept here.";
        }
        set(({ live }) => ({ pending: null, live: live && { ...live, linked: false }, notice }));
        if (!run.accepted) set({ leafId });
        if (error instanceof ApiError) recover(run, error.code);
      } finally {
        end(run);
      }
    }

    /** After a refusal that shows that the page's picture of the session is old. */
    function recover(run: Run, code: string) {
      if (code === "session_not_found") {
        const draft = get().drafts[run.sessionId] ?? "";
        if (draft !== "") giveBack("", draft);
        set({ ...nothingShown, phase: "missing" });
      } else if (code === "reply_in_progress") {
        void load(run.sessionId);
      }
    }

    function questionOf(replyId: string): Message | undefined {
      const { messages } = get();
      const parentId = messages[replyId]?.parent_id;
      return typeof parentId === "string" ? messages[parentId] : undefined;
    }

    return {
      sessionId: null,
      phase: "ready",
      drafts: {},
      ...nothingShown,

      open(sessionId) {
        if (sessionId === get().sessionId && get().phase !== "failed") return;
        leave();
        set({ ...nothingShown, sessionId, phase: sessionId === null ? "ready" : "loading" });
        if (sessionId !== null) void load(sessionId);
      },
      reload() {
        const { sessionId, phase } = get();
        if (sessionId === null || current) return;
        if (phase === "failed") set({ phase: "loading", notice: null });
        void load(sessionId);
      },
      async send(content) {
        const state = get();
        if (content.trim() === "" || isBusy(state) || state.phase !== "ready") return;
        setDraftOf(draftKey(state.sessionId), "");
        await ask(content, state.leafId, "draft");
      },
      async retry(replyId) {
        const question = questionOf(replyId);
        if (!question || isBusy(get())) return;
        await ask(question.content, question.parent_id, "nowhere");
      },
      edit(replyId) {
        const question = questionOf(replyId);
        if (!question || isBusy(get())) return;
        giveBack(draftKey(get().sessionId), question.content);
        set({ leafId: question.parent_id });
      },
      async stop() {
        const run = current;
        if (!run || !isBusy(get())) return;
        run.stopWanted = true;
        set({ stopping: true });
        try {
          if (run.sessionId !== "") await stopReply(run.sessionId);
        } catch (error) {
          const notice = noticeOf(error);
          if (current === run) set({ stopping: false, notice });
        }
      },
      setDraft(text) {
        setDraftOf(draftKey(get().sessionId), text);
      },
      dismissNotice() {
        set({ notice: null });
      },
    };
  });
}
