import { useTranslation } from "react-i18next";

import type { SearchHit } from "@/api/types";
import { classNames } from "@/lib/class-names";

interface SearchOptionProps {
  id: string;
  active: boolean;
  title: string;
  /** A message, with the matching words marked. */
  hit?: SearchHit;
  onChoose: () => void;
}

export function SearchOption({ id, active, title, hit, onChoose }: SearchOptionProps) {
  const { t } = useTranslation();
  return (
    // Keys are handled by the input, which keeps the focus.
    <div
      id={id}
      role="option"
      aria-selected={active}
      onClick={onChoose}
      className={classNames(
        "cursor-pointer rounded-control px-3 py-2 text-sm hover:bg-hover",
        active && "bg-hover",
      )}
    >
      <p dir="auto" className={classNames("truncate", hit && "text-xs text-muted")}>
        {hit && <span>{hit.role === "user" ? t("search.you") : t("search.model")} · </span>}
        {hit?.attachment && <span dir="auto">{hit.attachment} · </span>}
        {title}
      </p>
      {hit && (
        <p dir="auto" className="mt-0.5 line-clamp-2 wrap-anywhere">
          {hit.snippet.map((piece, index) =>
            piece.hit ? (
              <mark key={index} className="rounded-sm bg-accent/25 text-text">
                {piece.text}
              </mark>
            ) : (
              piece.text
            ),
          )}
        </p>
      )}
    </div>
  );
}
