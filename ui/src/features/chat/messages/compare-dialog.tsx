import { useId, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import { Button } from "@/components/button";
import { Modal } from "@/components/dialog";
import { DialogHead } from "@/components/dialog-head";
import { inputClass } from "@/components/field";
import { Markdown } from "@/components/markdown/markdown";
import { familyOf } from "@/features/chat/state/branch";
import { useChat } from "@/features/chat/state/chat-context";
import { useModelName } from "@/features/chat/state/models-context";

interface CompareDialogProps {
  messageId: string;
  onClose: () => void;
}

/** Two versions of a reply side by side, or on a narrow screen one below the other. */
export function CompareDialog({ messageId, onClose }: CompareDialogProps) {
  const { t } = useTranslation();
  const title = useId();
  const messages = useChat((state) => state.messages);
  const showVersion = useChat((state) => state.showVersion);
  const family = familyOf(messages, messageId);
  const at = family.findIndex(({ id }) => id === messageId);
  const [shown, setShown] = useState<[number, number]>(at > 0 ? [at - 1, at] : [0, 1]);
  const keep = ({ id }: Message) => {
    onClose();
    showVersion(id);
  };
  return (
    <Modal
      labelledBy={title}
      onClose={onClose}
      className="m-auto h-[calc(100dvh-2rem)] w-[min(80rem,calc(100vw-2rem))] max-w-none rounded-panel border border-line-strong bg-bg text-base shadow-panel"
    >
      <div className="flex h-full flex-col">
        <DialogHead id={title} title={t("messages.compareTitle")} onClose={onClose} />
        <div className="grid min-h-0 flex-1 auto-rows-min divide-line overflow-y-auto max-md:divide-y md:auto-rows-fr md:grid-cols-2 md:divide-x md:overflow-hidden">
          {([0, 1] as const).map((side) => (
            <Side
              key={side}
              label={side === 0 ? t("messages.first") : t("messages.second")}
              family={family}
              number={shown[side]}
              onChoose={(number) => {
                setShown(side === 0 ? [number, shown[1]] : [shown[0], number]);
              }}
              onKeep={keep}
            />
          ))}
        </div>
      </div>
    </Modal>
  );
}

interface SideProps {
  label: string;
  family: readonly Message[];
  number: number;
  onChoose: (number: number) => void;
  onKeep: (message: Message) => void;
}

function Side({ label, family, number, onChoose, onKeep }: SideProps) {
  const { t } = useTranslation();
  const message = family[number];
  if (!message) return null;
  return (
    <section aria-label={label} className="flex min-h-0 min-w-0 flex-col">
      <div className="flex items-center gap-2 px-5 pt-3 pb-2">
        <select
          aria-label={label}
          value={number}
          onChange={(event) => {
            onChoose(Number(event.target.value));
          }}
          className={`${inputClass} min-w-0 flex-1`}
        >
          {family.map((each, index) => (
            <VersionOption key={each.id} message={each} number={index} count={family.length} />
          ))}
        </select>
        <Button
          onClick={() => {
            onKeep(message);
          }}
        >
          {t("messages.keep")}
        </Button>
      </div>
      <div
        dir="auto"
        tabIndex={0}
        role="group"
        aria-label={t("chat.reply")}
        className="min-h-0 flex-1 px-5 pb-5 outline-offset-[-2px] md:overflow-y-auto"
      >
        <Markdown text={message.content} />
      </div>
    </section>
  );
}

interface VersionOptionProps {
  message: Message;
  number: number;
  count: number;
}

function VersionOption({ message, number, count }: VersionOptionProps) {
  const { t } = useTranslation();
  const name = useModelName(message.model);
  const parts = [
    `${number + 1}/${count}`,
    name,
    message.edited ? t("messages.edited") : null,
  ];
  return <option value={number}>{parts.filter(Boolean).join(" · ")}</option>;
}
