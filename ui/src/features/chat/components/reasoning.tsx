import { useTranslation } from "react-i18next";

import { ChevronDownIcon } from "@/components/icons";

interface ReasoningProps {
  text: string;
  /** The model is still reasoning. */
  growing: boolean;
}

/** The reasoning before the answer, collapsed. */
export function Reasoning({ text, growing }: ReasoningProps) {
  const { t } = useTranslation();
  return (
    <details className="group/reasoning mb-3 text-sm text-muted">
      <summary className="inline-flex min-h-8 cursor-pointer list-none items-center gap-1.5 rounded-control pe-2 hover:text-text [&::-webkit-details-marker]:hidden">
        <ChevronDownIcon className="size-4 -rotate-90 transition-transform group-open/reasoning:rotate-0 rtl:rotate-90" />
        {growing ? t("actions.reasoningNow") : t("actions.reasoning")}
      </summary>
      <div
        dir="auto"
        className="mt-1 border-s-2 border-line-strong ps-4 leading-6 whitespace-pre-wrap wrap-anywhere"
      >
        {text}
      </div>
    </details>
  );
}
