import { createStore, type StoreApi } from "zustand/vanilla";

import { changeSession } from "@/api/endpoints";
import type { Message } from "@/api/types";
import { leafBelow, leafThrough } from "@/features/chat/state/branch";
import {
  draftKey,
  isBusy,
  type ChatState,
  type ChatStoreDeps,
  type NewChatKind,
} from "@/features/chat/state/chat-state";
import { emptyChat, Replies } from "@/features/chat/state/replies";
import { temporaryId } from "@/features/chat/state/temporary";

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
    const replies = new Replies(set, get, deps);
    /** The temporary chat while another one is shown. */
    let kept: Pick<ChatState, "messages" | "leafId"> | Record<string, never> = {};

    function questionOf(replyId: string): Message | undefined {
      const { messages } = get();
      const parentId = messages[replyId]?.parent_id;
      return typeof parentId === "string" ? messages[parentId] : undefined;
    }

    return {
      sessionId: null,
      phase: "ready",
      drafts: {},
      folderId: null,
      temporary: false,
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
      syncSession({ id, live_message_id, leaf_id }) {
        const { sessionId, phase, messages } = get();
        if (id !== sessionId || phase !== "ready" || replies.running) return;
        const unseen = [live_message_id, leaf_id].some((one) => one !== null && !messages[one]);
        if (unseen) void replies.load(id);
      },
      async send(content) {
        const state = get();
        if (content.trim() === "" || isBusy(state) || state.phase !== "ready") return;
        replies.setDraft(draftKey(state.sessionId), "");
        const start = { kind: "turn", content, parent_id: state.leafId } as const;
        await replies.request(start, state.leafId, "draft");
      },
      startEdit(messageId) {
        if (!isBusy(get())) set({ editingId: messageId });
      },
      async sendEdit(messageId, content) {
        const message = get().messages[messageId];
        if (!message || content.trim() === "" || isBusy(get())) return;
        const { parent_id } = message;
        await replies.request({ kind: "turn", content, parent_id }, parent_id, "draft");
      },
      async regenerate(replyId) {
        const question = questionOf(replyId);
        if (!question || isBusy(get())) return;
        await replies.request({ kind: "regenerate", message_id: replyId }, question.id, "nowhere");
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
        replies.giveBack(draftKey(get().sessionId), question.content);
        set({ leafId: question.parent_id });
      },
      async stop() {
        if (isBusy(get())) await replies.stop();
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
