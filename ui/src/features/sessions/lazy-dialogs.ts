import { lazy } from "react";

/** Dialogs that are fetched when they are opened for the first time. */

export const DeletedDialog = lazy(async () => ({
  default: (await import("@/features/sessions/deleted-dialog")).DeletedDialog,
}));

export const FolderDialog = lazy(async () => ({
  default: (await import("@/features/sessions/folder-dialog")).FolderDialog,
}));

export const MoveDialog = lazy(async () => ({
  default: (await import("@/features/sessions/move-dialog")).MoveDialog,
}));

export const RemoveFolderDialog = lazy(async () => ({
  default: (await import("@/features/sessions/remove-folder-dialog")).RemoveFolderDialog,
}));
