/** Files that messages have with them. */

import { send, sendForJson } from "@/api/client";
import type { Attachment, AttachmentFits } from "@/api/types";

/** Bytes of a request; the server takes up to 8 MB. */
const partSize = 4 * 1024 * 1024;

function path(id: string, rest = ""): string {
  return `/api/attachments/${encodeURIComponent(id)}${rest}`;
}

/** Uploads a file; `onProgress` gets the share that the server has. */
export async function uploadAttachment(
  file: Blob,
  name: string,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Attachment> {
  const query = new URLSearchParams({ name, bytes: String(file.size) });
  let found = await sendForJson<Attachment>(`/api/attachments?${query.toString()}`, {
    method: "POST",
    ...(file.size > 0 && { file: file.slice(0, partSize) }),
    signal,
  });
  for (let offset = partSize; offset < file.size; offset += partSize) {
    onProgress(offset / file.size);
    found = await sendForJson<Attachment>(`${path(found.id)}?offset=${offset}`, {
      method: "PATCH",
      file: file.slice(offset, offset + partSize),
      signal,
    });
  }
  return found;
}

/** Removes an attachment that was not sent. */
export async function removeAttachment(id: string): Promise<void> {
  await send(path(id), { method: "DELETE" });
}

/** How much of the attachments of one message fits into the model's context. */
export function fitAttachments(
  ids: readonly string[],
  sessionId: string | null,
): Promise<AttachmentFits> {
  const query = new URLSearchParams({ ids: ids.join(",") });
  if (sessionId !== null) query.set("session_id", sessionId);
  return sendForJson(`/api/attachments/fit?${query.toString()}`);
}

/** The address of a file as it was uploaded. */
export function contentPath(id: string): string {
  return path(id, "/content");
}
