import { Fragment, useMemo } from "react";
import { useTranslation } from "react-i18next";

import type { PromptPart, SentPrompt } from "@/api/types";
import { classNames } from "@/lib/class-names";
import { formatTokens } from "@/lib/format";

type Piece = PromptPart["pieces"][number];

interface PromptTextProps {
  sent: SentPrompt;
  /** Shows where each token begins. */
  tokens: boolean;
}

/** A prompt in its parts, with the number of tokens of each. */
export function PromptText({ sent, tokens }: PromptTextProps) {
  const { t } = useTranslation();
  return (
    <div className="mt-3 flex flex-col gap-1 font-mono text-[0.8125rem] leading-6">
      {sent.parts.map((part, index) => (
        <div key={index} className={part.role === "template" ? "text-faint" : ""}>
          {part.role !== "template" && (
            <p className="font-sans text-xs text-muted tabular-nums">
              {nameOf(part.role)} · {formatTokens(part.pieces.length)}
            </p>
          )}
          <p
            dir="auto"
            className={classNames(
              "whitespace-pre-wrap wrap-anywhere",
              part.role !== "template" && "rounded-control bg-raised px-3 py-1.5",
            )}
          >
            <Pieces pieces={part.pieces} tokens={tokens} />
          </p>
        </div>
      ))}
    </div>
  );

  function nameOf(role: string): string {
    if (role === "system") return t("messages.system");
    return role === "user" ? t("chat.yourMessage") : t("chat.reply");
  }
}

function Pieces({ pieces, tokens }: { pieces: readonly Piece[]; tokens: boolean }) {
  const runs = useMemo(() => (tokens ? pieces : runsOf(pieces)), [pieces, tokens]);
  return runs.map((piece, index) => {
    if (piece.control) return <Control key={index} piece={piece} />;
    if (!tokens) return <Fragment key={index}>{piece.text}</Fragment>;
    return (
      <span
        key={index}
        data-token={piece.id}
        title={String(piece.id)}
        className={index % 2 ? "bg-hover" : "bg-line"}
      >
        {piece.text}
      </span>
    );
  });
}

/** A control token, so that it can't be taken for text. */
function Control({ piece }: { piece: Piece }) {
  return (
    <span
      data-control=""
      data-token={piece.id}
      title={String(piece.id)}
      className="mx-px rounded-md border border-line-strong px-1 text-xs text-accent"
    >
      {piece.text}
    </span>
  );
}

/** Neighbouring tokens of text as one. */
function runsOf(pieces: readonly Piece[]): Piece[] {
  const runs: Piece[] = [];
  for (const piece of pieces) {
    const last = runs.at(-1);
    if (last && !last.control && !piece.control) last.text += piece.text;
    else runs.push({ ...piece });
  }
  return runs;
}
