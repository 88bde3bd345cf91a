import { ApiError, Unreachable } from "@/api/client";
import {
  createSession,
  deleteSession,
  getSession,
  listMessages,
  stopReply,
  type ReplyStart,
} from "@/api/endpoints";
import {
  followReply,
  offsetAfter,
  type ReplyDelta,
  type ReplyEvent,
  type ReplySource,
} from "@/api/follow-reply";
import { purgeDeleted } from "@/api/organizing";
import type { Attachment, Message, Session } from "@/api/types";
import type { Attached } from "@/features/chat/attachments/attached";
import { leafThrough, messageTable } from "@/features/chat/state/branch";
import {
  draftKey,
  type ChatState,
  type ChatStoreDeps,
  type LiveReply,
  type Pending,
} from "@/features/chat/state/chat-state";
import { toNotice, type Notice } from "@/features/chat/state/notice";
import { TokenRate } from "@/features/chat/state/token-rate";
import { newRun, wasStored, type Run, type UnconfirmedSend } from "@/features/chat/state/run";
import { TemporaryReplies, temporaryId } from "@/features/chat/state/temporary";
import { titleFor } from "@/features/chat/state/title-for";
import { backOff, sleep } from "@/lib/back-off";
import { createFrameBatch } from "@/lib/frame-batch";

type SetState = (change: Partial<ChatState> | ((state: ChatState) => Partial<ChatState>)) => void;

/** Messages that are loaded before a chat is shown, and then at a time. */
const firstPage = 200;
const laterPages = 1000;

export const emptyChat = {
  messages: {},
  leafId: null,
  pending: null,
  live: null,
  stopping: false,
  notice: null,
  editingId: null,
  revision: 0,
  targetId: null,
} satisfies Partial<ChatState>;

function liveOf(reply: Message): LiveReply {
  return {
    id: reply.id,
    text: reply.content,
    reasoning: reply.reasoning,
    prefill: null,
    queuePosition: null,
    tokensPerSecond: null,
    connected: true,
  };
}

function pendingOf(start: ReplyStart, attachments: readonly Attachment[]): Pending {
  if (start.kind === "turn") return { kind: "turn", content: start.content, attachments };
  if (start.kind === "regenerate") return { kind: "regenerate" };
  return { kind: "continue", replyId: start.message_id };
}

/** Where the text of a refused message goes: back into the input, or nowhere. */
export type ReturnTo = "draft" | "nowhere";

/**
 * Loads sessions and follows replies for the chat store, one at a time: opening another chat detaches
 * from the previous reply, which the server continues to generate.
 */
export class Replies {
  private readonly set: SetState;
  private readonly get: () => ChatState;
  private readonly deps: ChatStoreDeps;
  private readonly files: Attached;
  private current: Run | null = null;
  private unconfirmed: UnconfirmedSend | null = null;
  private readonly temporary: TemporaryReplies;
  private filling = new AbortController();

  constructor(set: SetState, get: () => ChatState, deps: ChatStoreDeps, files: Attached) {
    this.files = files;
    this.set = set;
    this.get = get;
    this.deps = deps;
    this.temporary = new TemporaryReplies(get, () => deps.newChatSettings());
  }

  get running(): boolean {
    return this.current !== null;
  }

  detach() {
    this.filling.abort();
    const run = this.current;
    if (!run) return;
    run.left = true;
    if (run.accepted) run.abort.abort();
    this.current = null;
  }

  setDraft(key: string, text: string) {
    this.set(({ drafts }) => ({ drafts: { ...drafts, [key]: text } }));
  }

  /** Puts a refused message back, before anything typed since. */
  giveBack(key: string, content: string) {
    const since = this.get().drafts[key] ?? "";
    this.setDraft(key, since === "" ? content : `${content}\n\n${since}`);
  }

  async load(sessionId: string) {
    const run = this.begin(newRun(sessionId, true));
    try {
      await this.attach(run);
    } catch (error) {
      if (run.left) return;
      const notice = this.noticeOf(error);
      if (error instanceof ApiError && error.status === 404) {
        this.set({ ...emptyChat, phase: "missing" });
      } else if (this.get().phase === "loading") {
        this.set({ phase: "failed", notice });
      } else {
        this.set(({ live }) => ({ live: live && { ...live, connected: false } }));
      }
    } finally {
      this.end(run);
    }
  }

  /** Sends a message below `parentId`; if it is refused, it goes back into the input. */
  async send(content: string, parentId: string | null, files: readonly Attachment[]) {
    const start: ReplyStart = {
      kind: "turn",
      content,
      parent_id: parentId,
      ...(files.length > 0 && { attachments: files.map(({ id }) => id) }),
    };
    await this.request(start, parentId, "draft", files);
  }

  /** Starts a reply and follows it. `leafId`: the leaf to show until the server has accepted it. */
  async request(
    start: ReplyStart,
    leafId: string | null,
    returnTo: ReturnTo,
    files: readonly Attachment[] = [],
  ) {
    const { sessionId, leafId: leafBefore } = this.get();
    const run = this.begin(newRun(draftKey(sessionId), false));
    this.set({ pending: pendingOf(start, files), leafId, notice: null, stopping: false, editingId: null });
    try {
      if (sessionId === null) await this.createFor(run, start, files);
      if ((await this.follow(run, { sessionId: run.sessionId, start })) === "gone") {
        await this.attach(run);
      }
    } catch (error) {
      this.failed(run, start, leafBefore, returnTo, error);
      if (!run.accepted && returnTo === "draft") this.files.giveBack(run.sessionId, files);
    } finally {
      this.end(run);
    }
  }

  async stop() {
    const run = this.current;
    if (!run) return;
    run.stopRequested = true;
    this.set({ stopping: true });
    try {
      if (run.sessionId === temporaryId) this.temporary.stop();
      else if (run.sessionId !== "") await stopReply(run.sessionId);
    } catch (error) {
      const notice = this.noticeOf(error);
      if (this.current === run) this.set({ stopping: false, notice });
    }
  }

  /** A change of the session was refused. */
  refused(sessionId: string, error: unknown) {
    this.set({ notice: this.noticeOf(error) });
    if (this.get().sessionId !== sessionId) return;
    if (error instanceof ApiError) this.recover(sessionId, error.code);
  }

  private begin(run: Run): Run {
    this.detach();
    this.current = run;
    return run;
  }

  private end(run: Run) {
    if (this.current !== run) return;
    this.current = null;
    this.set({ stopping: false });
  }

  private noticeOf(error: unknown): Notice {
    if (error instanceof Unreachable) this.deps.onUnreachable();
    if (error instanceof ApiError && error.status === 401) this.deps.onLockedOut();
    return toNotice(error);
  }

  private async createFor(run: Run, start: ReplyStart, files: readonly Attachment[]) {
    const content = start.kind === "turn" ? start.content : "";
    const title = titleFor(content) || titleFor(files[0]?.name ?? "");
    const session = await createSession(title, this.deps.newChatSettings(), this.get().folderId);
    run.sessionId = session.id;
    run.created = true;
    if (run.left) return;
    this.set({ sessionId: session.id });
    this.deps.onSessionCreated(session);
  }

  private failed(
    run: Run,
    start: ReplyStart,
    leafId: string | null,
    returnTo: ReturnTo,
    error: unknown,
  ) {
    if (run.accepted && run.left) return;
    const returned = !run.accepted && returnTo === "draft" && start.kind === "turn";
    if (!run.accepted && start.kind === "turn") {
      const { content, parent_id } = start;
      this.unconfirmed = { sessionId: run.sessionId, parentId: parent_id, content };
      if (returned) this.giveBack(run.sessionId, content);
    }
    const notice = this.noticeOf(error);
    if (run.left) return;
    this.set(({ live }) => ({
      pending: null,
      live: live && { ...live, connected: false },
      notice: { ...notice, kept: returned && notice.code === "unreachable" },
    }));
    if (!run.accepted) this.set({ leafId });
    this.deps.onReplyFailed();
    if (error instanceof ApiError) {
      if (run.created && !run.accepted) this.discard(run);
      else this.recover(run.sessionId, error.code);
    }
  }

  /** A chat whose first message was refused is a new chat again, and nothing of it is kept. */
  private discard(run: Run) {
    const { sessionId: id } = run;
    const draft = this.get().drafts[id] ?? "";
    this.setDraft(id, "");
    if (draft !== "") this.giveBack("", draft);
    this.set({ sessionId: null });
    deleteSession(id)
      .then(() => purgeDeleted(id))
      .catch(() => undefined);
    this.deps.onSessionRefused?.(id);
  }

  /** After a refusal that shows that the page's session is out of date. */
  private recover(sessionId: string, code: string) {
    if (code === "session_not_found") {
      const draft = this.get().drafts[sessionId] ?? "";
      if (draft !== "") this.giveBack("", draft);
      this.set({ ...emptyChat, phase: "missing" });
    } else if (code === "reply_in_progress" || code === "message_not_found") {
      void this.load(sessionId);
    }
  }

  /** Loads the session, and follows replies until none is in progress. */
  private async attach(run: Run) {
    const { signal } = run.abort;
    for (let attempt = 0; ; attempt += 1) {
      const session = await getSession(run.sessionId, signal);
      const { messages, more } = await this.newestMessages(session, signal);
      signal.throwIfAborted();
      const live = this.show(session, messages);
      if (more) void this.fill(run.sessionId);
      if (live === null) break;
      const from = offsetAfter({ reasoning: live.reasoning, content: live.text });
      if ((await this.follow(run, { sessionId: run.sessionId, from })) === "ended") return;
      await sleep(backOff(attempt), signal);
    }
    this.deps.onSessionChanged();
  }

  /** The newest messages, as many as it takes to have the last one of the branch that is shown. */
  private async newestMessages(session: Session, signal: AbortSignal) {
    let { messages, more = false } = await listMessages(session.id, { limit: firstPage }, signal);
    const wanted = this.get().targetId ?? session.leaf_id;
    while (more && wanted !== null && !messages.some(({ id }) => id === wanted)) {
      const page = { limit: laterPages, before: messages[0]?.id ?? "" };
      const earlier = await listMessages(session.id, page, signal);
      messages = [...earlier.messages, ...messages];
      more = earlier.more ?? false;
    }
    return { messages, more };
  }

  /** Loads the messages before those that are shown. */
  private async fill(sessionId: string) {
    this.filling.abort();
    this.filling = new AbortController();
    const { signal } = this.filling;
    for (let attempt = 0; ; attempt += 1) {
      try {
        for (let more = true; more; ) {
          const [before = ""] = Object.keys(this.get().messages);
          const page = await listMessages(sessionId, { limit: laterPages, before }, signal);
          this.set(({ messages }) => ({
            messages: { ...messageTable(page.messages), ...messages },
          }));
          more = page.more ?? false;
        }
        return;
      } catch (error) {
        if (signal.aborted || error instanceof ApiError) return;
        await sleep(backOff(attempt), signal).catch(() => undefined);
      }
    }
  }

  /** Shows what the server has; returns the reply in progress, if there is one. */
  private show(session: Session, list: readonly Message[]): LiveReply | null {
    const messages = messageTable(list);
    const { live_message_id: liveId, leaf_id: leafId } = session;
    const inProgress = liveId === null ? undefined : messages[liveId];
    const tip = inProgress ?? (leafId === null ? undefined : messages[leafId]);
    const live = tip?.status === "streaming" ? liveOf(tip) : null;
    this.settleUnconfirmed(session.id, list);
    const { targetId } = this.get();
    const shownTip = tip?.id ?? null;
    // A reply in progress takes precedence over the message that the address names.
    const leaf =
      live === null && targetId !== null && messages[targetId]
        ? leafThrough(messages, shownTip, targetId)
        : shownTip;
    const { revision = 0 } = session;
    this.set({ phase: "ready", messages, leafId: leaf, pending: null, live, revision });
    return live;
  }

  private settleUnconfirmed(sessionId: string, list: readonly Message[]) {
    const lost = this.unconfirmed;
    if (lost?.sessionId !== sessionId) return;
    this.unconfirmed = null;
    if (!wasStored(lost, list)) return;
    this.set({ notice: null });
    if (this.get().drafts[sessionId] === lost.content) this.setDraft(sessionId, "");
  }

  /** Follows one reply to its end; "gone": it ended while disconnected. */
  private async follow(run: Run, source: ReplySource): Promise<"ended" | "gone"> {
    const rate = new TokenRate();
    const batch = createFrameBatch<ReplyDelta>((pieces) => {
      if (run.left) return;
      this.change((live) => ({
        text: live.text + pieces.map(({ text }) => text).join(""),
        reasoning: live.reasoning + pieces.map(({ reasoning }) => reasoning).join(""),
        tokensPerSecond: rate.add(pieces.length),
      }));
    });
    try {
      const temporary = source.sessionId === temporaryId;
      const transport = temporary ? this.temporary.transport : this.deps.transport;
      for await (const event of followReply(transport, source, run.abort.signal)) {
        if (event.type === "turn") {
          run.accepted = true;
          this.deps.onSessionChanged();
          if (run.stopRequested) void stopReply(run.sessionId).catch(() => undefined);
        }
        if (run.left) {
          run.abort.abort();
          return "ended";
        }
        if (event.type === "gone") return "gone";
        if (event.type === "delta") batch.push(event);
        else if (this.apply(event)) {
          batch.cancel();
          this.deps.onSessionChanged();
          return "ended";
        }
      }
      return "ended";
    } finally {
      batch.flush();
    }
  }

  private change(part: (live: LiveReply) => Partial<LiveReply>) {
    this.set(({ live }) => ({ live: live && { ...live, ...part(live) } }));
  }

  /** Applies an event other than text; returns whether it was the last. */
  private apply(event: Exclude<ReplyEvent, { type: "delta" | "gone" }>): boolean {
    switch (event.type) {
      case "turn": {
        const { user, reply } = event;
        this.set(({ messages }) => ({
          messages: { ...messages, [user.id]: user, [reply.id]: reply },
          leafId: reply.id,
          pending: null,
          live: liveOf(reply),
        }));
        return false;
      }
      case "queued":
        this.change(() => ({ queuePosition: event.place }));
        return false;
      case "prefill":
        this.change(() => ({ prefill: event, queuePosition: null }));
        return false;
      case "connection":
        if (!event.up) this.deps.onUnreachable();
        this.change(() => ({ connected: event.up }));
        return false;
      case "done":
      case "error": {
        const { message } = event;
        if (event.type === "error") this.deps.onReplyFailed();
        this.set(({ messages }) => ({
          messages: { ...messages, [message.id]: message },
          leafId: message.id,
          pending: null,
          live: null,
        }));
        return true;
      }
    }
  }
}
