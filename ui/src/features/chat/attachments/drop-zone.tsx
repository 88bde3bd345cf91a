import { useEffect, useRef, useState, type ComponentProps, type DragEvent } from "react";
import { useTranslation } from "react-i18next";

import { PaperclipIcon } from "@/components/icons";
import { useChat } from "@/features/chat/state/chat-context";

/** A section in which files can be dropped to attach them; not to a temporary chat, since files are
 * stored. */
export function DropZone({ children, ...rest }: ComponentProps<"section">) {
  const { t } = useTranslation();
  const attach = useChat((state) => state.attach);
  const temporary = useChat((state) => state.temporary);
  const [over, setOver] = useState(false);
  // Moving onto an element within enters that one first, and then leaves the other.
  const depth = useRef(0);
  useEffect(() => {
    // Beside the section, a browser would open the file in place of the page.
    const stay = (event: globalThis.DragEvent) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    };
    window.addEventListener("dragover", stay);
    window.addEventListener("drop", stay);
    return () => {
      window.removeEventListener("dragover", stay);
      window.removeEventListener("drop", stay);
    };
  }, []);
  const end = () => {
    depth.current = 0;
    setOver(false);
  };
  return (
    <section
      {...rest}
      onDragEnter={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        depth.current += 1;
        setOver(true);
      }}
      onDragOver={(event) => {
        if (hasFiles(event)) event.preventDefault();
      }}
      onDragLeave={(event) => {
        if (!hasFiles(event)) return;
        depth.current -= 1;
        if (depth.current <= 0) end();
      }}
      onDrop={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        end();
        if (!temporary) attach([...event.dataTransfer.files]);
      }}
    >
      {children}
      {over && (
        <div className="pointer-events-none absolute inset-2 z-10 grid place-items-center rounded-panel border-2 border-dashed border-accent bg-bg/90">
          <p className="flex items-center gap-2 font-medium">
            <PaperclipIcon />
            {temporary ? t("attachments.notTemporary") : t("attachments.drop")}
          </p>
        </div>
      )}
    </section>
  );
}

function hasFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer.types.includes("Files");
}
