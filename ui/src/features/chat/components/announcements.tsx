import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { useChat, useChatStore } from "@/features/chat/state/chat-context";
import { isBusy } from "@/features/chat/state/chat-state";

/** How often new text is announced: a few sentences at a time, not word by word. */
const pauseMs = 2500;

/**
 * For screen readers: announces that a reply has begun, its text in whole sentences as it arrives, and
 * that it has ended. Polite: it does not interrupt what is being read.
 */
export function Announcements() {
  const { t } = useTranslation();
  const busy = useChat(isBusy);
  const [wasBusy, setWasBusy] = useState(busy);
  const [announcement, setAnnouncement] = useState("");
  if (busy !== wasBusy) {
    setWasBusy(busy);
    setAnnouncement(busy ? t("chat.beingWritten") : t("chat.ended"));
  }
  return (
    <>
      <p role="status" className="sr-only">
        {announcement}
      </p>
      <SpokenText />
    </>
  );
}

function SpokenText() {
  const store = useChatStore();
  const [words, setWords] = useState("");

  useEffect(() => {
    let following: { id: string; announced: number } | null = null;
    const update = () => {
      const { live, messages } = store.getState();
      let upTo = 0;
      let text = "";
      if (following && following.id !== live?.id) {
        text = messages[following.id]?.content ?? "";
        upTo = text.length;
      } else if (live) {
        following ??= { id: live.id, announced: live.text.length };
        text = live.text;
        upTo = endOfSentences(text);
      }
      if (!following) return;
      if (upTo > following.announced) setWords(plainText(text.slice(following.announced, upTo)));
      following = following.id === live?.id ? { id: following.id, announced: Math.max(upTo, following.announced) } : null;
    };
    const timer = setInterval(update, pauseMs);
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

/** The end of the last complete sentence or line of a growing text. */
export function endOfSentences(text: string): number {
  return Math.max(0, ...Array.from(text.matchAll(/[.!?:…。！？]["')\]]*\s|\n/g), endOf));
}

function endOf(match: RegExpExecArray): number {
  return match.index + match[0].length;
}

/** Markdown as it is read aloud: without marks, and only the text of links. */
export function plainText(markdown: string): string {
  return markdown
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\s*(?:#{1,6}|>|[-+*]|```.*|~~~.*)\s?/gm, "")
    .replace(/[*_`~]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
