import { createStore, type StoreApi } from "zustand/vanilla";

import {
  branchAt,
  changeSession,
  editMessage,
  getSession,
  removeMessage,
  restoreMessage,
} from "@/api/endpoints";
import type { Message } from "@/api/types";
import { leafBelow, leafThrough } from "@/features/chat/state/branch";
import {
  draftKey,
  isBusy,
  isUploading,
  type ChatState,
  type ChatStoreDeps,
  type NewChatKind,
} from "@/features/chat/state/chat-state";
import { Attached } from "@/features/chat/attachments/attached";
import { toNotice } from "@/features/chat/state/notice";
import { emptyChat, Replies } from "@/features/chat/state/replies";
import { temporaryId } from "@/features/chat/state/temporary";

/** Characters of a title that the server takes. */
const longestTitle = 200;

export type ChatStore = StoreApi<ChatState>;

const stored: NewChatKind = { folderId: null, temporary: false };

/** The messages, and the reply in progress as one that was interrupted. */
function withReplySoFar({ messages, leafId, live }: ChatState) {
  const reply = live && messages[live.id];
  if (!reply) return { messages, leafId };
  const { text: content, reasoning } = live;
  const interrupted: Message = { ...reply, content, reasoning, status: "interrupted" };
  return { messages: { ...messages, [reply.id]: interrupted }, leafId };
}

export function createChatStore(deps: ChatStoreDeps): ChatStore {
  return createStore<ChatState>()((set, get) => {
    const files = new Attached(set, get, toNotice);
    const replies = new Replies(set, get, deps, files);
    /** The temporary chat while another one is shown. */
    let kept: Pick<ChatState, "messages" | "leafId"> | Record<string, never> = {};

    function questionOf(replyId: string): Message | undefined {
      const { messages } = get();
      const parentId = messages[replyId]?.parent_id;
      return typeof parentId === "string" ? messages[parentId] : undefined;
    }

    /** Does something to the open session that is no reply; null: it was refused, or can't be now. */
    async function change<T>(act: (sessionId: string) => Promise<T>): Promise<T | null> {
      const { sessionId } = get();
      if (sessionId === null || isBusy(get())) return null;
      try {
        const done = await act(sessionId);
        deps.onSessionChanged();
        return done;
      } catch (error) {
        if (get().sessionId === sessionId) replies.refused(sessionId, error);
        return null;
      }
    }

    async function storeEdit(message: Message, content: string) {
      const stored = await change((sessionId) => editMessage(sessionId, message.id, content));
      if (get().sessionId !== stored?.session_id) return;
      set(({ messages }) => ({
        messages: { ...messages, [stored.id]: stored },
        leafId: stored.id,
        editingId: null,
        notice: null,
      }));
    }

    return {
      sessionId: null,
      phase: "ready",
      drafts: {},
      folderId: null,
      temporary: false,
      attached: {},
      ...emptyChat,

      open(shownId, targetId = null, { folderId, temporary } = stored) {
        const { phase, messages } = get();
        const sessionId = temporary ? temporaryId : shownId;
        set({ folderId });
        if (sessionId === get().sessionId && phase !== "failed") {
          if (targetId === null || !messages[targetId]) return;
          set({ targetId, leafId: leafThrough(messages, get().leafId, targetId) });
          return;
        }
        replies.detach();
        if (get().temporary) kept = withReplySoFar(get());
        const loads = sessionId !== null && !temporary;
        set({
          ...emptyChat,
          ...(temporary ? kept : {}),
          sessionId,
          targetId,
          temporary,
          phase: loads ? "loading" : "ready",
        });
        if (loads) void replies.load(sessionId);
      },
      forgetTemporary() {
        kept = {};
        if (!get().temporary) return;
        replies.detach();
        set({ ...emptyChat, phase: "ready" });
      },
      reload() {
        const { sessionId, phase, temporary } = get();
        if (sessionId === null || temporary || replies.running) return;
        if (phase === "failed") set({ phase: "loading", notice: null });
        void replies.load(sessionId);
      },
      syncSession({ id, live_message_id, leaf_id, revision = 0 }) {
        const { sessionId, phase, messages } = get();
        if (id !== sessionId || phase !== "ready" || replies.running) return;
        const unseen = [live_message_id, leaf_id].some((one) => one !== null && !messages[one]);
        if (unseen || revision !== get().revision) void replies.load(id);
      },
      async send(content) {
        const state = get();
        const key = draftKey(state.sessionId);
        const empty = content.trim() === "" && files.of(key).length === 0;
        if (empty || isUploading(state) || isBusy(state) || state.phase !== "ready") return;
        replies.setDraft(key, "");
        await replies.send(content, state.leafId, files.take(key));
      },
      startEdit(messageId) {
        if (!isBusy(get())) set({ editingId: messageId });
      },
      async sendEdit(messageId, content) {
        const message = get().messages[messageId];
        const empty = content.trim() === "" && !message?.attachments?.length;
        if (!message || empty || isBusy(get())) return;
        if (message.role === "assistant") {
          await storeEdit(message, content);
          return;
        }
        await replies.send(content, message.parent_id, message.attachments ?? []);
      },
      async regenerate(replyId, model) {
        const question = questionOf(replyId);
        if (!question || isBusy(get())) return;
        const start = { kind: "regenerate", message_id: replyId, ...(model && { model }) } as const;
        await replies.request(start, question.id, "nowhere");
      },
      async answer(messageId) {
        if (isBusy(get())) return;
        await replies.request({ kind: "regenerate", message_id: messageId }, messageId, "nowhere");
      },
      async removeMessage(messageId, turn) {
        const removed = await change((sessionId) => removeMessage(sessionId, messageId, turn));
        if (!removed) return 0;
        set({ editingId: null, notice: null });
        get().reload();
        return removed.message_ids.length;
      },
      async restoreMessage({ id, session_id: of }) {
        try {
          await restoreMessage(of, id);
          deps.onSessionChanged();
          if (get().sessionId === of) get().reload();
        } catch (error) {
          replies.refused(of, error);
        }
      },
      async branch(messageId, title) {
        const session = await change(async (sessionId) => {
          const { title: old } = await getSession(sessionId);
          return branchAt(sessionId, messageId, title(old).slice(0, longestTitle));
        });
        if (session) deps.onBranch(session);
      },
      async continueReply(replyId) {
        if (isBusy(get())) return;
        await replies.request({ kind: "continue", message_id: replyId }, get().leafId, "nowhere");
      },
      showVersion(messageId) {
        const { messages, sessionId } = get();
        if (isBusy(get()) || sessionId === null || !messages[messageId]) return;
        const leafId = leafBelow(messages, messageId);
        set({ leafId, editingId: null });
        if (get().temporary) return;
        // Storing the position is worthwhile, but a failure is not worth reporting.
        changeSession(sessionId, { leaf_id: leafId }).catch(() => undefined);
      },
      takeBack(replyId) {
        const question = questionOf(replyId);
        if (!question || isBusy(get())) return;
        const key = draftKey(get().sessionId);
        replies.giveBack(key, question.content);
        files.giveBack(key, question.attachments ?? []);
        set({ leafId: question.parent_id });
      },
      async stop() {
        if (isBusy(get())) await replies.stop();
      },
      attach(chosen) {
        files.attach(chosen);
      },
      detach(key) {
        files.detach(key);
      },
      setDraft(text) {
        replies.setDraft(draftKey(get().sessionId), text);
      },
      dismissNotice() {
        set({ notice: null });
      },
    };
  });
}
