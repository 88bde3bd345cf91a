import { goTo, hrefOfSession } from "@/app/views";
import { Button, IconButton } from "@/components/button";
import { CloseIcon, PlusIcon } from "@/components/icons";
import { SessionList } from "@/features/sessions/session-list";
import { ModelLine } from "@/features/status/model-line";

interface RailProps {
  activeId: string | null;
  /** Given where the rail lies over the page and has to go away again. */
  onClose?: () => void;
  /** Something was chosen in it. */
  onChosen: () => void;
}

/** Chats above, the model below. */
export function Rail({ activeId, onClose, onChosen }: RailProps) {
  return (
    <div className="flex h-full w-full flex-col">
      <div className="flex h-13 shrink-0 items-center gap-1 px-2">
        <Button
          look="quiet"
          className="flex-1 justify-start px-3 text-text"
          onClick={() => {
            goTo(null);
            onChosen();
          }}
        >
          <PlusIcon />
          New chat
        </Button>
        {onClose && (
          <IconButton label="Hide chats" onClick={onClose}>
            <CloseIcon />
          </IconButton>
        )}
      </div>
      <SessionList
        activeId={activeId}
        hrefOf={hrefOfSession}
        onOpen={onChosen}
        onDeleted={(sessionId) => {
          if (sessionId === activeId) goTo(null);
        }}
      />
      <div className="shrink-0 border-t border-line px-2 py-1.5">
        <ModelLine />
      </div>
    </div>
  );
}
