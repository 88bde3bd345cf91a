import i18next from "i18next";
import { expect, it } from "vitest";

import type { Message } from "@/api/types";
import { chatMarkdown } from "@/features/exports/chat-markdown";

const at = new Date(2027, 4, 3, 14, 5).getTime();

function message(role: Message["role"], content: string, more: Partial<Message> = {}): Message {
  return { role, content, reasoning: "", created_at: at, model: null, ...more } as Message;
}

it("a chat is Markdown with a heading for each message, its text untouched", () => {
  const code = "```py\n# not a heading\n```\n\n$x$ <b>";
  const text = chatMarkdown(
    {
      title: "A\nchat",
      messages: [
        message("user", "Write *code*."),
        message("assistant", code, { model: "gemma-3", reasoning: "Hm." }),
        message("assistant", ""),
      ],
    },
    i18next.t,
  );
  expect(text.replace(/\s(?=[AP]M$)/gm, " ")).toBe(`# A chat

## You · May 3, 2027, 2:05 PM

Write *code*.

## gemma-3 · May 3, 2027, 2:05 PM

<details>
<summary>Thought before answering</summary>

Hm.

</details>

${code}

## Model · May 3, 2027, 2:05 PM

*No reply was written.*
`);
});
