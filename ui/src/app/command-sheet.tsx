import { useTranslation } from "react-i18next";

import { bindings, type CommandName, type Commands } from "@/app/commands";
import { isPageView } from "@/app/views";
import { IconButton } from "@/components/button";
import { Modal } from "@/components/dialog";
import { CloseIcon } from "@/components/icons";

interface CommandSheetProps {
  commands: Commands;
  onClose: () => void;
}

/** Keys that work in the message input; they can't be run from the sheet. */
const inputKeys = [
  ["send", ["Enter"]],
  ["line", ["Shift", "Enter"]],
  ["editLast", ["ArrowUp"]],
  ["stop", ["Esc"]],
] as const;

/** Every command with its keys; choosing one runs it. */
export function CommandSheet({ commands, onClose }: CommandSheetProps) {
  const { t } = useTranslation();
  const run = (command: CommandName) => {
    onClose();
    commands[command]?.();
  };
  const labelOf = (command: CommandName) =>
    isPageView(command) ? t(`app.${command}`) : t(`commands.${command}`);
  const shown = bindings.filter(({ command }) => command !== "sheet" && commands[command]);
  return (
    <Modal
      label={t("commands.title")}
      onClose={onClose}
      className="m-auto w-[min(44rem,calc(100vw-2rem))] rounded-panel border border-line-strong bg-bg shadow-panel"
    >
      <div className="p-5">
        <div className="flex items-start justify-between gap-3">
          <div>
            <h2 className="font-semibold">{t("commands.title")}</h2>
            <p className="text-sm text-muted">{t("commands.run")}</p>
          </div>
          <IconButton label={t("app.close")} onClick={onClose}>
            <CloseIcon />
          </IconButton>
        </div>
        <div className="mt-4 grid gap-x-8 gap-y-5 sm:grid-cols-2">
          <section aria-label={t("commands.anywhere")}>
            <h3 className="px-2 pb-1 text-xs font-medium text-faint">{t("commands.anywhere")}</h3>
            {shown.map(({ command, keys }) => (
              <button
                key={command}
                type="button"
                onClick={() => {
                  run(command);
                }}
                className="flex min-h-9 w-full items-center justify-between gap-4 rounded-control px-2 text-start text-sm hover:bg-hover"
              >
                {labelOf(command)}
                <Keys keys={keys} />
              </button>
            ))}
          </section>
          <section aria-label={t("commands.inInput")}>
            <h3 className="px-2 pb-1 text-xs font-medium text-faint">{t("commands.inInput")}</h3>
            {inputKeys.map(([name, keys]) => (
              <p key={name} className="flex min-h-9 items-center justify-between gap-4 px-2 text-sm">
                {t(`commands.${name}`)}
                <Keys keys={keys} />
              </p>
            ))}
            <p className="flex min-h-9 items-center justify-between gap-4 px-2 text-sm">
              {t("commands.sheet")}
              <span className="flex items-center gap-2">
                <Keys keys={["?"]} />
                <Keys keys={["Mod", "/"]} />
              </span>
            </p>
          </section>
        </div>
      </div>
    </Modal>
  );
}

const apple = /Mac|iPhone|iPad/.test(navigator.userAgent);

const signs: Readonly<Record<string, string>> = {
  Mod: apple ? "⌘" : "Ctrl",
  Alt: apple ? "⌥" : "Alt",
  ArrowUp: "↑",
  ArrowDown: "↓",
};

function Keys({ keys }: { keys: readonly string[] }) {
  return (
    <span className="flex gap-1" dir="ltr">
      {keys.map((key) => (
        <kbd
          key={key}
          className="min-w-6 rounded-md border border-line-strong bg-raised px-1.5 text-center font-sans text-xs leading-5.5 text-muted"
        >
          {signs[key] ?? key}
        </kbd>
      ))}
    </span>
  );
}
