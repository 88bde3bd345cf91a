import type { ReactNode } from "react";

import { useChat } from "@/features/chat/chat-context";

/** What a small model on a small machine does well, without the web and without files. */
const examples = [
  {
    title: "Explain something",
    prompt: "Explain in a few sentences why the sky is blue.",
  },
  {
    title: "Write a little code",
    prompt: "Write a Python function that counts how often each word occurs in a text.",
  },
  {
    title: "Find the words",
    prompt: "Write a short, friendly email that moves our meeting to Friday at ten.",
  },
];

interface EmptyChatProps {
  /** Nothing can be sent yet: an example waits in the input. */
  held: boolean;
  /** What is to be said about the model before the first message. */
  about: ReactNode;
  /** Whether there is a model to ask at all. */
  able: boolean;
}

export function EmptyChat({ held, about, able }: EmptyChatProps) {
  const send = useChat((state) => state.send);
  const setDraft = useChat((state) => state.setDraft);
  return (
    <div className="flex flex-1 flex-col justify-center pt-6 pb-16">
      <h1 className="text-[1.625rem] leading-tight font-semibold tracking-tight text-balance">
        What would you like to know?
      </h1>
      <p className="mt-2 text-muted">
        The model runs on this machine. What you write stays on it.
      </p>
      {about}
      {able && (
        <ul aria-label="Examples" className="mt-7 grid gap-2 sm:grid-cols-3">
          {examples.map(({ title, prompt }) => (
            <li key={title}>
              <button
                type="button"
                onClick={() => {
                  if (held) setDraft(prompt);
                  else void send(prompt);
                }}
                className="flex h-full w-full flex-col items-start rounded-panel border border-line px-4 py-3 text-left transition-colors hover:border-line-strong hover:bg-raised"
              >
                <span className="text-sm font-medium">{title}</span>
                <span className="mt-1 text-sm leading-5 text-pretty text-muted">{prompt}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
