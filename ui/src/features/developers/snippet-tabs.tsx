import { useId, useRef, useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import { CopyButton } from "@/components/copy-button";
import { snippets, type Target } from "@/features/developers/snippets";
import { classNames } from "@/lib/class-names";

/** Code and settings for other programs, one of them shown. */
export function SnippetTabs({ target }: { target: Target }) {
  const { t } = useTranslation();
  const id = useId();
  const [shown, setShown] = useState(0);
  const tabs = useRef<HTMLDivElement>(null);
  const text = snippets[shown]?.text(target) ?? "";

  const move = (event: KeyboardEvent) => {
    const rtl = getComputedStyle(event.currentTarget).direction === "rtl";
    const steps: Record<string, number> = { ArrowRight: rtl ? -1 : 1, ArrowLeft: rtl ? 1 : -1 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (shown + step + snippets.length) % snippets.length;
    setShown(next);
    tabs.current?.querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus();
  };
  return (
    <div className="overflow-hidden rounded-panel border border-line">
      <div className="flex items-center gap-2 border-b border-line pe-1">
        <div
          ref={tabs}
          data-wide
          role="tablist"
          aria-label={t("developers.snippets")}
          onKeyDown={move}
          className="flex min-w-0 flex-1 overflow-x-auto px-1"
        >
          {snippets.map(({ name }, index) => (
            <button
              key={name}
              type="button"
              role="tab"
              id={`${id}-tab-${index}`}
              aria-selected={index === shown}
              aria-controls={`${id}-panel`}
              tabIndex={index === shown ? 0 : -1}
              onClick={() => {
                setShown(index);
              }}
              className={classNames(
                "min-h-10 border-b-2 px-3 text-[0.8125rem] whitespace-nowrap outline-offset-[-2px] hover:text-text pointer-coarse:min-h-11",
                index === shown ? "border-accent text-text" : "border-transparent text-muted",
              )}
            >
              {name}
            </button>
          ))}
        </div>
        <CopyButton label={t("copy.code")} text={() => text} />
      </div>
      <pre
        role="tabpanel"
        id={`${id}-panel`}
        aria-labelledby={`${id}-tab-${shown}`}
        tabIndex={0}
        dir="ltr"
        className="overflow-x-auto bg-hover/40 p-4 font-mono text-[0.8125rem] leading-relaxed outline-offset-[-2px]"
      >
        {text}
      </pre>
    </div>
  );
}
