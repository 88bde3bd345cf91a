import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { CheckIcon, CloseIcon, CopyIcon } from "@/components/icons";
import { copyText } from "@/lib/clipboard";

const shownMs = 1600;

interface CopyButtonProps {
  label: string;
  text: () => string;
  className?: string;
}

/** Copies a text, and briefly shows the result. */
export function CopyButton({ label, text, className }: CopyButtonProps) {
  const { t } = useTranslation();
  const [outcome, setOutcome] = useState<"copied" | "refused" | null>(null);

  useEffect(() => {
    if (outcome === null) return;
    const timer = setTimeout(() => {
      setOutcome(null);
    }, shownMs);
    return () => {
      clearTimeout(timer);
    };
  }, [outcome]);

  const copy = async () => {
    setOutcome((await copyText(text())) ? "copied" : "refused");
  };
  return (
    <>
      <IconButton
        label={outcome ? t(`copy.${outcome}`) : label}
        onClick={() => void copy()}
        {...(className === undefined ? {} : { className })}
      >
        {outcome === null && <CopyIcon className="size-4" />}
        {outcome === "copied" && <CheckIcon className="size-4" />}
        {outcome === "refused" && <CloseIcon className="size-4" />}
      </IconButton>
      <span role="status" className="sr-only">
        {outcome && t(`copy.${outcome}`)}
      </span>
    </>
  );
}
