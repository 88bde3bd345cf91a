import { useEffect, useLayoutEffect, useRef, useState, type ReactNode, type RefObject } from "react";

import { IconButton } from "@/components/button";
import { CheckIcon } from "@/components/icons";
import { classNames } from "@/lib/class-names";

export interface MenuItem {
  label: string;
  icon: ReactNode;
  run: () => void;
  danger?: boolean;
  /** Given for what is on or off. */
  checked?: boolean;
}

interface MenuProps {
  label: string;
  icon: ReactNode;
  items: readonly MenuItem[];
  className?: string;
  tabIndex?: number;
  disabled?: boolean;
}

/** A button that opens a list of actions: arrows move, Enter runs, Esc and Tab close. */
export function Menu({ label, icon, items, className, tabIndex, disabled = false }: MenuProps) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = (refocus: boolean) => {
    setOpen(false);
    if (refocus) button.current?.focus();
  };
  return (
    <>
      <IconButton
        ref={button}
        label={label}
        aria-haspopup="menu"
        tabIndex={tabIndex}
        aria-expanded={open}
        disabled={disabled}
        onClick={() => {
          setOpen(!open);
        }}
        {...(className === undefined ? {} : { className })}
      >
        {icon}
      </IconButton>
      {open && <Items label={label} items={items} button={button} onClose={close} />}
    </>
  );
}

interface MenuListProps {
  label: string;
  button: RefObject<HTMLButtonElement | null>;
  className?: string;
  onClose: (refocus: boolean) => void;
  /** Elements whose roles begin with "menuitem"; the checked one is focused, or the first. */
  children: ReactNode;
}

const gap = 4;
const menuItem = '[role^="menuitem"]';

/** The list of a menu, beside its button. */
export function MenuList({ label, button, className, onClose, children }: MenuListProps) {
  const list = useRef<HTMLDivElement>(null);

  // In the top layer, so that nothing around it clips or moves it.
  useLayoutEffect(() => {
    const box = list.current;
    const anchor = button.current?.getBoundingClientRect();
    if (!box || !anchor) return;
    if ("showPopover" in box) {
      box.popover = "manual";
      box.showPopover();
    }
    const below = anchor.bottom + gap;
    const above = anchor.top - gap - box.offsetHeight;
    box.style.top = `${below + box.offsetHeight > innerHeight && above > 0 ? above : below}px`;
    const left = Math.min(anchor.left, innerWidth - box.offsetWidth - gap);
    const right = Math.max(anchor.right - box.offsetWidth, gap);
    box.style.left = `${document.documentElement.dir === "rtl" ? right : Math.max(left, gap)}px`;
    const first = box.querySelector<HTMLElement>('[aria-checked="true"]') ?? itemsOf(box)[0];
    first?.focus();
  }, [button]);

  useEffect(() => {
    const elsewhere = (event: Event) => {
      const { target } = event;
      if (!(target instanceof Node)) return;
      if (list.current?.contains(target) || button.current?.contains(target)) return;
      onClose(false);
    };
    const moved = () => {
      onClose(false);
    };
    document.addEventListener("pointerdown", elsewhere);
    window.addEventListener("resize", moved);
    return () => {
      document.removeEventListener("pointerdown", elsewhere);
      window.removeEventListener("resize", moved);
    };
  }, [button, onClose]);

  const keyDown = (event: React.KeyboardEvent) => {
    const all = list.current ? itemsOf(list.current) : [];
    const at = all.findIndex((item) => item === document.activeElement);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: all.length - 1,
    };
    const next = steps[event.key];
    if (next !== undefined) {
      event.preventDefault();
      all.at(next % all.length)?.focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      onClose(true);
    }
  };

  return (
    <div
      ref={list}
      role="menu"
      aria-label={label}
      tabIndex={-1}
      onKeyDown={keyDown}
      className={classNames(
        "fixed inset-auto z-20 m-0 min-w-44 text-text animate-arrive rounded-panel border border-line-strong bg-raised p-1 shadow-panel",
        className,
      )}
    >
      {children}
    </div>
  );
}

function itemsOf(list: HTMLElement): HTMLElement[] {
  return Array.from(list.querySelectorAll<HTMLElement>(menuItem));
}

interface ItemsProps extends Omit<MenuListProps, "children" | "className"> {
  items: readonly MenuItem[];
}

function Items({ label, items, button, onClose }: ItemsProps) {
  return (
    <MenuList label={label} button={button} onClose={onClose}>
      {items.map((item) => (
        <button
          key={item.label}
          type="button"
          role={item.checked === undefined ? "menuitem" : "menuitemcheckbox"}
          aria-checked={item.checked}
          tabIndex={-1}
          onClick={() => {
            onClose(true);
            item.run();
          }}
          className={classNames(
            "flex min-h-9 w-full items-center gap-2.5 rounded-control px-2.5 text-start text-sm hover:bg-hover focus-visible:bg-hover focus-visible:outline-none pointer-coarse:min-h-11",
            item.danger && "text-danger",
          )}
        >
          {item.icon}
          {item.label}
          {item.checked && <CheckIcon className="ms-auto size-4" />}
        </button>
      ))}
    </MenuList>
  );
}
