import { fitAttachments, removeAttachment, uploadAttachment } from "@/api/attachments";
import type { Attachment } from "@/api/types";
import type { Notice } from "@/features/chat/state/notice";

/** A file beside a message that is being written. */
export interface DraftFile {
  key: number;
  name: string;
  /** The share that was uploaded. */
  progress: number;
  /** null: it is being uploaded. */
  attachment: Attachment | null;
  /** null: not known yet. */
  fit: { tokens: number; shown: number | null } | null;
}

export interface AttachedState {
  sessionId: string | null;
  notice: Notice | null;
  /** By session id; "" for the new chat. */
  attached: Readonly<Record<string, readonly DraftFile[]>>;
}

export interface AttachedActions {
  /** Uploads files for the message that is being written. */
  attach: (files: readonly File[]) => void;
  /** Removes one of them. */
  detach: (key: number) => void;
}

type SetState = (change: (state: AttachedState) => Partial<AttachedState>) => void;

/** The files of messages that are being written. */
export class Attached {
  private readonly set: SetState;
  private readonly get: () => AttachedState;
  private readonly toNotice: (error: unknown) => Notice;
  private readonly uploads = new Map<number, AbortController>();
  private keys = 0;

  constructor(set: SetState, get: () => AttachedState, toNotice: (error: unknown) => Notice) {
    this.set = set;
    this.get = get;
    this.toNotice = toNotice;
  }

  of(place: string): readonly DraftFile[] {
    return this.get().attached[place] ?? [];
  }

  attach(files: readonly File[]) {
    const place = this.get().sessionId ?? "";
    this.set(() => ({ notice: null }));
    for (const file of files) void this.upload(place, file);
  }

  detach(key: number) {
    this.uploads.get(key)?.abort();
    const place = this.get().sessionId ?? "";
    const gone = this.of(place).find((one) => one.key === key);
    this.change(place, (list) => list.filter((one) => one.key !== key));
    // One that was sent with another message stays there; the server forgets others by itself.
    if (gone?.attachment) removeAttachment(gone.attachment.id).catch(() => undefined);
    this.measure(place);
  }

  /** The files of a message that is sent now. */
  take(place: string): Attachment[] {
    const list = this.of(place);
    this.change(place, () => []);
    return list.flatMap(({ attachment }) => attachment ?? []);
  }

  /** Puts the files of a message back, before those that were added since. */
  giveBack(place: string, attachments: readonly Attachment[]) {
    const back = attachments.map((attachment): DraftFile => {
      this.keys += 1;
      return { key: this.keys, name: attachment.name, progress: 1, attachment, fit: null };
    });
    this.change(place, (list) => [...back, ...list]);
    this.measure(place);
  }

  private async upload(place: string, file: File) {
    this.keys += 1;
    const key = this.keys;
    const abort = new AbortController();
    this.uploads.set(key, abort);
    const { name } = file;
    this.change(place, (list) => [...list, { key, name, progress: 0, attachment: null, fit: null }]);
    try {
      const progress = (share: number) => {
        this.changeOne(place, key, { progress: share });
      };
      const attachment = await uploadAttachment(file, name, progress, abort.signal);
      if (abort.signal.aborted) {
        removeAttachment(attachment.id).catch(() => undefined);
        return;
      }
      this.changeOne(place, key, { progress: 1, attachment, name: attachment.name });
      this.measure(place);
    } catch (error) {
      this.change(place, (list) => list.filter((one) => one.key !== key));
      if (!abort.signal.aborted) this.set(() => ({ notice: this.toNotice(error) }));
    } finally {
      this.uploads.delete(key);
    }
  }

  /** Asks how much fits. Without an answer, the files are sent all the same. */
  private measure(place: string) {
    const ids = this.of(place).flatMap(({ attachment }) => attachment?.id ?? []);
    if (ids.length === 0) return;
    fitAttachments(ids, place === "" ? null : place).then(
      ({ fits }) => {
        const known = new Map(fits.map((fit) => [fit.id, fit]));
        this.change(place, (list) =>
          list.map((one) => {
            const fit = one.attachment ? known.get(one.attachment.id) : undefined;
            return fit ? { ...one, fit: { tokens: fit.tokens, shown: fit.shown } } : one;
          }),
        );
      },
      () => undefined,
    );
  }

  private changeOne(place: string, key: number, part: Partial<DraftFile>) {
    this.change(place, (list) => list.map((one) => (one.key === key ? { ...one, ...part } : one)));
  }

  private change(place: string, next: (list: readonly DraftFile[]) => readonly DraftFile[]) {
    this.set(({ attached }) => ({
      attached: { ...attached, [place]: next(attached[place] ?? []) },
    }));
  }
}
