import { useRef, useState, type ReactNode } from "react";

import { CheckIcon } from "@/components/icons";
import { MenuList } from "@/components/menu";
import { classNames } from "@/lib/class-names";

export interface Choice {
  key: string;
  label: string;
  /** Below the label, smaller. */
  note?: ReactNode;
  disabled?: boolean;
  run: () => void;
}

interface ChoiceMenuProps {
  /** Names the menu and its button. */
  label: string;
  /** What the button shows. */
  children: ReactNode;
  buttonClass: string;
  choices: readonly Choice[];
  /** The key of the choice that holds now. */
  chosen: string | null;
  /** Below the choices: what else can be done. */
  actions?: readonly Choice[];
  onOpen?: () => void;
  /** Opened from elsewhere; counts up. */
  opened?: number;
}

/** A button that opens a list of choices of which one holds, and of actions below them. */
export function ChoiceMenu(props: ChoiceMenuProps) {
  const { label, children, buttonClass, choices, chosen, actions = [], onOpen, opened = 0 } = props;
  const [open, setOpen] = useState(false);
  const [seen, setSeen] = useState(opened);
  const button = useRef<HTMLButtonElement>(null);
  if (opened !== seen) {
    setSeen(opened);
    setOpen(true);
  }
  const close = (refocus: boolean) => {
    setOpen(false);
    if (refocus) button.current?.focus();
  };
  const item = (choice: Choice, role: "menuitem" | "menuitemradio") => (
    <button
      key={choice.key}
      type="button"
      role={role}
      tabIndex={-1}
      disabled={choice.disabled}
      {...(role === "menuitemradio" ? { "aria-checked": choice.key === chosen } : {})}
      onClick={() => {
        close(true);
        choice.run();
      }}
      className="flex min-h-9 w-full items-start gap-2.5 rounded-control px-2.5 py-2 text-start text-sm hover:bg-hover focus-visible:bg-hover focus-visible:outline-none disabled:opacity-45 pointer-coarse:min-h-11"
    >
      <span className="min-w-0 flex-1">
        <span dir="auto" className="block leading-5 wrap-anywhere">
          {choice.label}
        </span>
        {choice.note !== undefined && (
          <span className="block text-xs leading-4.5 text-faint tabular-nums">{choice.note}</span>
        )}
      </span>
      {role === "menuitemradio" && (
        <CheckIcon
          className={classNames("mt-0.5 size-4 text-accent", choice.key !== chosen && "invisible")}
        />
      )}
    </button>
  );
  return (
    <>
      <button
        ref={button}
        type="button"
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => {
          if (!open) onOpen?.();
          setOpen(!open);
        }}
        className={buttonClass}
      >
        {children}
      </button>
      {open && (
        <MenuList
          label={label}
          button={button}
          onClose={close}
          className="max-h-[min(28rem,calc(100dvh-6rem))] w-80 max-w-[calc(100vw-1rem)] overflow-y-auto"
        >
          {choices.map((choice) => item(choice, "menuitemradio"))}
          {choices.length > 0 && actions.length > 0 && (
            <div role="separator" className="my-1 border-t border-line" />
          )}
          {actions.map((choice) => item(choice, "menuitem"))}
        </MenuList>
      )}
    </>
  );
}
