import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Folder } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Field, inputClass } from "@/components/field";
import { useSessions } from "@/features/sessions/sessions-context";

interface FolderDialogProps {
  /** null: a new one. */
  folder: Folder | null;
  onClose: () => void;
  onMade?: (folder: Folder) => void;
}

/** The name of a folder, and the prompt that new chats in it begin with. */
export function FolderDialog({ folder, onClose, onMade }: FolderDialogProps) {
  const { t } = useTranslation();
  const [name, setName] = useState(folder?.name ?? "");
  const [prompt, setPrompt] = useState(folder?.settings?.system_prompt ?? "");
  const [failure, setFailure] = useState<string | null>(null);
  const [saving, setSaving] = useState(false);
  const addFolder = useSessions((state) => state.addFolder);
  const changeFolder = useSessions((state) => state.changeFolder);

  const save = async () => {
    if (name.trim() === "" || saving) return;
    setSaving(true);
    const change = { name: name.trim(), settings: { system_prompt: prompt.trim() || null } };
    try {
      if (folder) await changeFolder(folder.id, change);
      else {
        const made = await addFolder(change);
        onMade?.(made);
      }
      onClose();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      setSaving(false);
    }
  };
  return (
    <Dialog
      title={folder ? t("folders.changeTitle") : t("folders.newTitle")}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t("app.cancel")}</Button>
          <Button
            variant="accent"
            disabled={name.trim() === "" || saving}
            onClick={() => void save()}
          >
            {folder ? t("folders.save") : t("folders.create")}
          </Button>
        </>
      }
    >
      <form
        className="flex flex-col gap-3 text-text"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Field label={t("folders.name")}>
          {({ id }) => (
            <input
              id={id}
              autoFocus
              dir="auto"
              value={name}
              maxLength={100}
              onChange={(event) => {
                setName(event.target.value);
              }}
              className={inputClass}
            />
          )}
        </Field>
        <Field label={t("folders.prompt")} hint={t("folders.promptHint")}>
          {({ id, describedBy }) => (
            <textarea
              id={id}
              aria-describedby={describedBy}
              dir="auto"
              rows={4}
              value={prompt}
              maxLength={100_000}
              onChange={(event) => {
                setPrompt(event.target.value);
              }}
              className={inputClass}
            />
          )}
        </Field>
        {failure !== null && (
          <p role="alert" className="text-danger">
            {t("folders.notSaved")} {failure}
          </p>
        )}
      </form>
    </Dialog>
  );
}
