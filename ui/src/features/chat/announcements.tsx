import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { useChat, useChatStore } from "@/features/chat/chat-context";
import { isBusy } from "@/features/chat/chat-state";

/** How long words gather before they are said: one saying a while, not one a word. */
const pauseMs = 2500;

/**
 * For those who listen: that a reply is written, its words in whole sentences as they come, and that
 * it ended. It waits its turn behind what the listener is hearing.
 */
export function Announcements() {
  const { t } = useTranslation();
  const busy = useChat(isBusy);
  const [wasBusy, setWasBusy] = useState(busy);
  const [said, setSaid] = useState("");
  if (busy !== wasBusy) {
    setWasBusy(busy);
    setSaid(busy ? t("chat.beingWritten") : t("chat.ended"));
  }
  return (
    <>
      <p role="status" className="sr-only">
        {said}
      </p>
      <Words />
    </>
  );
}

function Words() {
  const store = useChatStore();
  const [words, setWords] = useState("");

  useEffect(() => {
    let heard: { id: string; told: number } | null = null;
    const listen = () => {
      const { live, messages } = store.getState();
      let upTo = 0;
      let text = "";
      if (heard && heard.id !== live?.id) {
        text = messages[heard.id]?.content ?? "";
        upTo = text.length;
      } else if (live) {
        heard ??= { id: live.id, told: live.text.length };
        text = live.text;
        upTo = endOfSentences(text);
      }
      if (!heard) return;
      if (upTo > heard.told) setWords(plainText(text.slice(heard.told, upTo)));
      heard = heard.id === live?.id ? { id: heard.id, told: Math.max(upTo, heard.told) } : null;
    };
    const timer = setInterval(listen, pauseMs);
    return () => {
      clearInterval(timer);
    };
  }, [store]);

  return (
    <p aria-live="polite" className="sr-only">
      {words}
    </p>
  );
}

/** Where the last whole sentence or line of a growing text ends. */
export function endOfSentences(text: string): number {
  return Math.max(0, ...Array.from(text.matchAll(/[.!?:…。！？]["')\]]*\s|\n/g), endOf));
}

function endOf(match: RegExpExecArray): number {
  return match.index + match[0].length;
}

/** Markdown as it is read aloud: without its marks, and a link by its words. */
export function plainText(markdown: string): string {
  return markdown
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\s*(?:#{1,6}|>|[-+*]|```.*|~~~.*)\s?/gm, "")
    .replace(/[*_`~]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
