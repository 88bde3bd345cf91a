import { useEffect, useState } from "react";
import { createPortal, flushSync } from "react-dom";
import { useTranslation } from "react-i18next";

import { Markdown } from "@/components/markdown/markdown";
import { writerOf } from "@/features/exports/chat-markdown";
import type { WholeChat } from "@/features/exports/whole-chat";
import { formatMoment } from "@/lib/format";

interface PrintSheetProps {
  /** The chat to print now; null: none was asked for. */
  asked: WholeChat | null;
  /** The chat on the page, for when the browser is asked to print it. */
  current: () => WholeChat | null;
  onDone: () => void;
}

/** The whole of a chat on paper, in place of the page, which shows a part of it. */
export function PrintSheet({ asked, current, onDone }: PrintSheetProps) {
  const [shown, setShown] = useState<WholeChat | null>(null);

  useEffect(() => {
    const before = () => {
      if (asked) return;
      flushSync(() => {
        setShown(current());
      });
    };
    const after = () => {
      setShown(null);
      onDone();
    };
    window.addEventListener("beforeprint", before);
    window.addEventListener("afterprint", after);
    return () => {
      window.removeEventListener("beforeprint", before);
      window.removeEventListener("afterprint", after);
    };
  }, [asked, current, onDone]);

  useEffect(() => {
    if (!asked) return;
    // What is loaded when it is needed, such as formulas and their fonts.
    const timer = setTimeout(() => {
      void document.fonts.ready.then(() => {
        window.print();
      });
    }, loadMs);
    return () => {
      clearTimeout(timer);
    };
  }, [asked]);

  const chat = asked ?? shown;
  return chat && createPortal(<Sheet chat={chat} />, document.body);
}

const loadMs = 400;

function Sheet({ chat: { title, messages } }: { chat: WholeChat }) {
  const { t } = useTranslation();
  return (
    <div className="print-sheet">
      <h1 dir="auto">{title}</h1>
      {messages.map((message) => (
        <section key={message.id}>
          <h2>
            {writerOf(message, t)} <small>{formatMoment(message.created_at)}</small>
          </h2>
          {message.role === "user" ? (
            <p dir="auto" className="whitespace-pre-wrap">
              {message.content}
            </p>
          ) : (
            <div dir="auto">
              <Markdown text={message.content === "" ? t("ending.nothing") : message.content} />
            </div>
          )}
        </section>
      ))}
    </div>
  );
}
