import { useRef } from "react";
import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { PaperclipIcon } from "@/components/icons";
import { useChat } from "@/features/chat/state/chat-context";

/** Chooses files to attach, where a chat may have some. `onChosen`: they are being uploaded. */
export function AttachButton({ onChosen }: { onChosen: () => void }) {
  const { t } = useTranslation();
  const attach = useChat((state) => state.attach);
  const temporary = useChat((state) => state.temporary);
  const chooser = useRef<HTMLInputElement>(null);
  if (temporary) return null;
  return (
    <>
      <input
        ref={chooser}
        type="file"
        multiple
        hidden
        aria-label={t("attachments.attach")}
        onChange={({ target }) => {
          attach([...(target.files ?? [])]);
          // The same file can be chosen again.
          target.value = "";
          onChosen();
        }}
      />
      <IconButton
        label={t("attachments.attach")}
        className="rounded-full"
        onClick={() => chooser.current?.click()}
      >
        <PaperclipIcon />
      </IconButton>
    </>
  );
}
