import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { WhereItRuns } from "@/features/chat/components/footnote";
import { useChat } from "@/features/chat/state/chat-context";

interface EmptyChatProps {
  /** Nothing can be sent yet: an example is put into the input. */
  held: boolean;
  /** The state of the model, shown before the first message. */
  about: ReactNode;
  /** Whether there is a model that can answer. */
  able: boolean;
}

export function EmptyChat({ held, about, able }: EmptyChatProps) {
  const { t } = useTranslation();
  const temporary = useChat((state) => state.temporary);
  return (
    <div className="flex flex-1 flex-col justify-center pt-6 pb-16">
      <h1 className="text-[1.625rem] leading-tight font-semibold tracking-tight text-balance">
        {temporary ? t("temporary.title") : t("welcome.title")}
      </h1>
      <p className="mt-2 text-muted wrap-anywhere">
        {temporary ? t("temporary.lead") : <WhereItRuns />}
      </p>
      {about}
      {able && <Examples held={held} />}
    </div>
  );
}

/** Tasks that a small model does well without the web or files. */
const examples = [
  ["welcome.explain", "welcome.explainPrompt"],
  ["welcome.code", "welcome.codePrompt"],
  ["welcome.words", "welcome.wordsPrompt"],
] as const;

function Examples({ held }: { held: boolean }) {
  const { t } = useTranslation();
  const send = useChat((state) => state.send);
  const setDraft = useChat((state) => state.setDraft);
  return (
    <ul aria-label={t("welcome.examples")} className="mt-7 grid gap-2 sm:grid-cols-3">
      {examples.map(([title, promptKey]) => {
        const prompt = t(promptKey);
        return (
          <li key={title}>
            <button
              type="button"
              onClick={() => {
                if (held) setDraft(prompt);
                else void send(prompt);
              }}
              className="flex h-full w-full flex-col items-start rounded-panel border border-line px-4 py-3 text-start transition-colors hover:border-line-strong hover:bg-raised"
            >
              <span className="text-sm font-medium">{t(title)}</span>
              <span className="mt-1 text-sm leading-5 text-pretty text-muted">{prompt}</span>
            </button>
          </li>
        );
      })}
    </ul>
  );
}
