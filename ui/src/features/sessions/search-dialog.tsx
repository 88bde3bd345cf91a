import { useId, useRef, useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { Button } from "@/components/button";
import { Modal } from "@/components/dialog";
import { SearchIcon } from "@/components/icons";
import { SearchOption } from "@/features/sessions/search-option";
import { sessionTitle } from "@/features/sessions/session-title";
import { useSessions } from "@/features/sessions/sessions-context";
import { useSearch } from "@/features/sessions/use-search";
import { formatCount } from "@/lib/format";
import { isComposing } from "@/lib/typing/keys";

interface SearchDialogProps {
  onClose: () => void;
  /** `messageId`: the message to show; null for the chat as it was left. */
  onOpen: (sessionId: string, messageId: string | null) => void;
}

const recentCount = 8;

/** Finds chats by title and by message; without a query it lists the recent ones. */
export function SearchDialog({ onClose, onOpen }: SearchDialogProps) {
  const { t } = useTranslation();
  const listId = useId();
  const [query, setQuery] = useState("");
  const [active, setActive] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const sessions = useSessions((state) => state.sessions);
  const words = query.trim();
  const { hits: found, more, failed, settled, fetchMore } = useSearch(words);
  // Titles are searched here, at every keystroke.
  const hits = found.filter(({ message_id }) => message_id !== null);
  const titled = words === "" ? sessions.slice(0, recentCount) : withTitle(sessions, words);
  const count = titled.length + hits.length;
  const at = Math.min(active, count - 1);

  const choose = (index: number) => {
    const session = titled[index];
    const hit = hits[index - titled.length];
    if (session) onOpen(session.id, null);
    else if (hit) onOpen(hit.session_id, hit.message_id);
  };
  const keyDown = (event: KeyboardEvent) => {
    if (isComposing(event.nativeEvent) || count === 0) return;
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = (at + step + count) % count;
      setActive(next);
      list.current?.querySelectorAll('[role="option"]')[next]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(at);
    }
  };
  const option = (index: number) => ({
    id: `${listId}-${index}`,
    active: index === at,
    onChoose: () => {
      choose(index);
    },
  });

  return (
    <Modal
      label={t("search.title")}
      onClose={onClose}
      className="mx-auto mt-[12dvh] mb-auto w-[min(40rem,calc(100vw-2rem))] rounded-panel border border-line-strong bg-bg shadow-panel max-sm:mt-4"
    >
      <div className="flex max-h-[min(70dvh,36rem)] flex-col">
        <div className="flex items-center gap-3 border-b border-line px-4">
          <SearchIcon className="size-4.5 text-faint" />
          <input
            type="text"
            enterKeyHint="search"
            role="combobox"
            aria-label={t("search.title")}
            aria-expanded="true"
            aria-controls={listId}
            aria-autocomplete="list"
            aria-activedescendant={count > 0 ? `${listId}-${at}` : undefined}
            autoFocus
            dir="auto"
            value={query}
            maxLength={200}
            placeholder={t("search.placeholder")}
            onChange={(event) => {
              setQuery(event.target.value);
              setActive(0);
            }}
            onKeyDown={keyDown}
            className="min-h-13 min-w-0 flex-1 bg-transparent placeholder:text-faint focus:outline-none"
          />
        </div>
        <div ref={list} className="min-h-0 overflow-y-auto p-2">
          <div id={listId} role="listbox" aria-label={t("search.results")}>
            {titled.length > 0 && (
              <Group label={words === "" ? t("search.recent") : t("search.titles")}>
                {titled.map((session, index) => (
                  <SearchOption
                    key={session.id}
                    {...option(index)}
                    title={sessionTitle(session, t)}
                  />
                ))}
              </Group>
            )}
            {hits.length > 0 && (
              <Group label={t("search.hits")}>
                {hits.map((hit, index) => (
                  <SearchOption
                    key={hit.message_id ?? hit.session_id}
                    {...option(titled.length + index)}
                    title={sessionTitle({ title: hit.session_title }, t)}
                    hit={hit}
                  />
                ))}
              </Group>
            )}
          </div>
          {more && (
            <Button variant="quiet" className="mt-1" onClick={fetchMore}>
              {t("search.more")}
            </Button>
          )}
          <p role="status" className={count > 0 ? "sr-only" : "px-3 py-3 text-sm text-muted"}>
            {failed && t("search.failed")}
            {!failed && settled && words !== "" && count === 0 && t("search.none", { query: words })}
            {settled && words !== "" && count > 0 && t("search.found", { count, formatted: formatCount(count) })}
          </p>
        </div>
      </div>
    </Modal>
  );
}

function withTitle(sessions: readonly Session[], query: string): Session[] {
  const words = query.toLowerCase().split(/\s+/);
  return sessions.filter(({ title }) => {
    const text = title.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function Group({ label, children }: { label: string; children: React.ReactNode }) {
  const id = useId();
  return (
    <div role="group" aria-labelledby={id}>
      <p id={id} role="presentation" className="px-3 pt-2 pb-1 text-xs font-medium text-faint">
        {label}
      </p>
      {children}
    </div>
  );
}
