import type { TFunction } from "i18next";

import type { Message } from "@/api/types";
import type { WholeChat } from "@/features/exports/whole-chat";
import { formatMoment } from "@/lib/format";

/** A chat as Markdown, a heading for each message. */
export function chatMarkdown({ title, messages }: WholeChat, t: TFunction): string {
  const parts = messages.map((message) => {
    const { content, reasoning, created_at } = message;
    const thoughts = `<details>\n<summary>${t("actions.reasoning")}</summary>\n\n${reasoning}\n\n</details>`;
    return [
      `## ${[writerOf(message, t), formatMoment(created_at)].filter(Boolean).join(" · ")}`,
      ...(reasoning === "" ? [] : [thoughts]),
      content === "" ? `*${t("ending.nothing")}*` : content,
    ].join("\n\n");
  });
  return `${[`# ${title.replace(/\s+/g, " ")}`, ...parts].join("\n\n")}\n`;
}

/** Who wrote a message. */
export function writerOf({ role, model }: Message, t: TFunction): string {
  return role === "user" ? t("search.you") : (model ?? t("search.model"));
}
