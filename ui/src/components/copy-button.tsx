import { useEffect, useState } from "react";

import { IconButton } from "@/components/button";
import { CheckIcon, CloseIcon, CopyIcon } from "@/components/icons";
import { copyText } from "@/lib/clipboard";

const shownMs = 1600;

interface CopyButtonProps {
  label: string;
  text: () => string;
  className?: string;
}

/** Copies, and says for a moment how it went. */
export function CopyButton({ label, text, className }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<"copied" | "failed" | null>(null);

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
    setOutcome((await copyText(text())) ? "copied" : "failed");
  };
  const said = { copied: "Copied", failed: "Copying was refused by the browser" };
  return (
    <>
      <IconButton
        label={outcome ? said[outcome] : label}
        onClick={() => void copy()}
        {...(className === undefined ? {} : { className })}
      >
        {outcome === null && <CopyIcon className="size-4" />}
        {outcome === "copied" && <CheckIcon className="size-4" />}
        {outcome === "failed" && <CloseIcon className="size-4" />}
      </IconButton>
      <span role="status" className="sr-only">
        {outcome && said[outcome]}
      </span>
    </>
  );
}
