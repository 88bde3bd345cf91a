import { lazy } from "react";

/** Dialogs that are fetched when they are opened for the first time. */

export const DeletedDialog = lazy(async () => ({
  default: (await import("@/features/sessions/dialogs/deleted-dialog")).DeletedDialog,
}));

export const FolderDialog = lazy(async () => ({
  default: (await import("@/features/sessions/dialogs/folder-dialog")).FolderDialog,
}));

export const MoveDialog = lazy(async () => ({
  default: (await import("@/features/sessions/dialogs/move-dialog")).MoveDialog,
}));

export const RemoveFolderDialog = lazy(async () => ({
  default: (await import("@/features/sessions/dialogs/remove-folder-dialog")).RemoveFolderDialog,
}));
