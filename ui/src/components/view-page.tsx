import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { Button } from "@/components/button";

interface ViewPageProps {
  title: string;
  lead: string;
  /** Shown at the end of the title's line. */
  action?: ReactNode;
  children: ReactNode;
}

/** The frame of a view beside the chat: title, lead and scrolling content. */
export function ViewPage({ title, lead, action, children }: ViewPageProps) {
  return (
    <div
      tabIndex={0}
      role="group"
      aria-label={title}
      className="even-gutters min-h-0 flex-1 overflow-y-auto outline-offset-[-2px]"
    >
      <div className="mx-auto flex w-full max-w-4xl flex-col gap-8 px-4 pt-4 pb-16 sm:px-8">
        <header className="flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
          <div className="min-w-0 max-w-[60ch]">
            <h2 className="text-[1.625rem] leading-tight font-semibold tracking-tight">{title}</h2>
            <p className="mt-1.5 text-sm text-muted text-pretty">{lead}</p>
          </div>
          {action}
        </header>
        {children}
      </div>
    </div>
  );
}

/** Shown in place of something that could not be loaded. */
export function LoadError({ text, error, onRetry }: { text: string; error: Error; onRetry: () => void }) {
  const { t } = useTranslation();
  return (
    <div role="alert" className="rounded-panel border border-line-strong px-4 py-3.5 text-sm">
      <p className="font-medium">{text}</p>
      <p className="mt-0.5 text-muted wrap-anywhere">{error.message}</p>
      <Button className="mt-3" onClick={onRetry}>
        {t("app.tryAgain")}
      </Button>
    </div>
  );
}
