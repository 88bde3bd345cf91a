import type { ReactNode } from "react";

import { classNames } from "@/lib/class-names";

interface IconProps {
  className?: string;
}

/** Strokes on a 24 × 24 grid; they carry no meaning alone, so they are hidden from readers. */
function icon(strokes: ReactNode) {
  return function Icon({ className }: IconProps) {
    return (
      <svg
        viewBox="0 0 24 24"
        className={classNames("shrink-0", className ?? "size-4.5")}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.75"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        {strokes}
      </svg>
    );
  };
}

export const PlusIcon = icon(<path d="M12 5v14M5 12h14" />);
export const PanelIcon = icon(
  <>
    <rect x="3.5" y="4.5" width="17" height="15" rx="2.5" />
    <path d="M9.5 4.5v15" />
  </>,
);
export const PencilIcon = icon(
  <path d="M4 20l.9-4L16 4.9a1.8 1.8 0 0 1 2.6 0l.5.5a1.8 1.8 0 0 1 0 2.6L8 19.1 4 20zM14 7l3 3" />,
);
export const TrashIcon = icon(
  <path d="M4.5 7h15M9.5 7V4.8h5V7M6.5 7l.8 12.2h9.4L17.5 7M10.3 10.8v5M13.7 10.8v5" />,
);
export const CopyIcon = icon(
  <>
    <rect x="8.5" y="8.5" width="11" height="11" rx="2" />
    <path d="M15.5 8.5v-2a2 2 0 0 0-2-2h-7a2 2 0 0 0-2 2v7a2 2 0 0 0 2 2h2" />
  </>,
);
export const CheckIcon = icon(<path d="M5 12.5l4.5 4.5L19 7.5" />);
export const ArrowUpIcon = icon(<path d="M12 19V5.5M6 11l6-6 6 6" />);
export const ArrowDownIcon = icon(<path d="M12 5v13.5M6 13l6 6 6-6" />);
export const CloseIcon = icon(<path d="M6 6l12 12M18 6L6 18" />);
export const AlertIcon = icon(
  <>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M12 7.8v5M12 16.1v.1" />
  </>,
);
export const ImageIcon = icon(
  <>
    <rect x="3.5" y="5" width="17" height="14" rx="2.5" />
    <path d="M4 16.5l4.5-4 3.5 3 3.5-3.5 4.5 4M9 9.5v.1" />
  </>,
);

export function StopIcon({ className }: IconProps) {
  return (
    <svg viewBox="0 0 24 24" className={className ?? "size-4.5"} aria-hidden="true">
      <rect x="5" y="5" width="14" height="14" rx="2.5" fill="currentColor" />
    </svg>
  );
}
