import type { ComponentProps } from "react";

import { classNames } from "@/lib/class-names";

type Variant = "plain" | "quiet" | "accent" | "danger";

const variants: Record<Variant, string> = {
  plain:
    "border border-line-strong bg-raised text-text hover:bg-hover disabled:opacity-45",
  quiet: "text-muted hover:bg-hover hover:text-text disabled:opacity-45",
  accent:
    "bg-accent text-accent-ink hover:bg-accent-strong disabled:bg-hover disabled:text-faint",
  danger: "bg-danger text-danger-ink hover:bg-danger-strong disabled:opacity-45",
};

const base =
  "inline-flex items-center justify-center gap-2 rounded-control font-medium transition-colors " +
  "disabled:pointer-events-none";

interface ButtonProps extends ComponentProps<"button"> {
  variant?: Variant;
}

export function Button({ variant = "plain", className, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className={classNames(base, variants[variant], "min-h-9 px-3.5 text-sm", className)}
      {...rest}
    />
  );
}

interface IconButtonProps extends ButtonProps {
  /** What the button does, for screen readers and as its tooltip. */
  label: string;
}

export function IconButton({ label, variant = "quiet", className, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={classNames(base, variants[variant], "size-9 shrink-0", className)}
      {...rest}
    />
  );
}
