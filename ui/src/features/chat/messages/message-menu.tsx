import { lazy, Suspense, use, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import {
  BranchIcon,
  ColumnsIcon,
  ModelIcon,
  MoreIcon,
  PencilIcon,
  PlayIcon,
  TrashIcon,
} from "@/components/icons";
import { Menu, type MenuItem } from "@/components/menu";
import { useNotify } from "@/components/toasts";
import type { Version } from "@/features/chat/state/branch";
import { useChat, useDeferredBusy } from "@/features/chat/state/chat-context";
import { ChatModelsContext } from "@/features/chat/state/models-context";

const CompareDialog = lazy(async () => ({
  default: (await import("@/features/chat/messages/compare-dialog")).CompareDialog,
}));
const AgainDialog = lazy(async () => ({
  default: (await import("@/features/chat/messages/again-dialog")).AgainDialog,
}));

interface MessageMenuProps {
  message: Message;
  version: Version | null;
}

/** Everything that can be done with a message and has no button of its own. */
export function MessageMenu({ message, version }: MessageMenuProps) {
  const { t } = useTranslation();
  const [dialog, setDialog] = useState<"again" | "compare" | null>(null);
  const several = use(ChatModelsContext).length > 1;
  const last = useChat((state) => state.leafId === message.id);
  const startEdit = useChat((state) => state.startEdit);
  const continueReply = useChat((state) => state.continueReply);
  const branch = useChat((state) => state.branch);
  const remove = useRemoval(message);
  const busy = useDeferredBusy();
  const { id, role, status, finish_reason } = message;
  const isReply = role === "assistant";
  const whole = status === "complete" && finish_reason !== "length";

  const item = (label: string, Icon: typeof MoreIcon, run: () => void): MenuItem => ({
    label,
    icon: <Icon className="size-4" />,
    run,
  });
  const items: MenuItem[] = [];
  if (isReply) {
    items.push(
      item(t("messages.editReply"), PencilIcon, () => {
        startEdit(id);
      }),
    );
    if (last && whole && message.content !== "") {
      items.push(item(t("ending.continue"), PlayIcon, () => void continueReply(id)));
    }
    if (several) {
      items.push(
        item(t("messages.again"), ModelIcon, () => {
          setDialog("again");
        }),
      );
    }
    if (version) {
      items.push(
        item(t("messages.compare"), ColumnsIcon, () => {
          setDialog("compare");
        }),
      );
    }
  }
  items.push(
    item(
      t("messages.branch"),
      BranchIcon,
      () => void branch(id, (title) => t("messages.branchTitle", { title })),
    ),
    { ...item(t("messages.delete"), TrashIcon, () => void remove(false)), danger: true },
    {
      ...item(
        isReply ? t("messages.deleteWithQuestion") : t("messages.deleteWithReply"),
        TrashIcon,
        () => void remove(true),
      ),
      danger: true,
    },
  );
  const close = () => {
    setDialog(null);
  };
  return (
    <>
      <Menu
        label={isReply ? t("messages.moreOfReply") : t("messages.moreOfMessage")}
        icon={<MoreIcon className="size-4" />}
        className="size-8"
        disabled={busy}
        items={items}
      />
      <Suspense>
        {dialog === "compare" && <CompareDialog messageId={id} onClose={close} />}
        {dialog === "again" && <AgainDialog message={message} onClose={close} />}
      </Suspense>
    </>
  );
}

/** Removes a message, or its turn, and offers Undo. */
function useRemoval(message: Message): (turn: boolean) => Promise<void> {
  const { t } = useTranslation();
  const notify = useNotify();
  const removeMessage = useChat((state) => state.removeMessage);
  const restoreMessage = useChat((state) => state.restoreMessage);
  return async (turn) => {
    const count = await removeMessage(message.id, turn);
    if (count === 0) return;
    notify({
      text: t("messages.deleted", { count }),
      action: { label: t("sessions.undo"), run: () => void restoreMessage(message) },
    });
  };
}
