import type { ReactNode } from "react";

import { classNames } from "@/lib/class-names";

interface IconProps {
  className?: string;
}

/** Strokes on a 24 × 24 grid; decorative, so hidden from screen readers. */
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

export const PinIcon = icon(<path d="M9 4h6l-.6 6 3.1 3.5H6.5L9.6 10 9 4zM12 13.5V20" />);
export const MoreIcon = icon(<path d="M5.5 12h.01M12 12h.01M18.5 12h.01" strokeWidth="2.6" />);
export const SearchIcon = icon(<path d="M15.8 15.8L20 20M17.5 11a6.5 6.5 0 1 1-13 0 6.5 6.5 0 0 1 13 0z" />);
export const SettingsIcon = icon(
  <path d="M4 7.5h9M17.5 7.5H20M4 16.5h2.5M11 16.5h9M13 7.5a2.2 2.2 0 1 0 4.5 0 2.2 2.2 0 0 0-4.5 0zM6.5 16.5a2.2 2.2 0 1 0 4.5 0 2.2 2.2 0 0 0-4.5 0z" />,
);
export const KeyboardIcon = icon(
  <>
    <rect x="3" y="6" width="18" height="12.5" rx="2.5" />
    <path d="M7 10h.01M10.4 10h.01M13.7 10h.01M17 10h.01M7.5 14.5h9" />
  </>,
);
export const ModelIcon = icon(
  <path d="M12 3.5l7.5 4.2v8.6L12 20.5l-7.5-4.2V7.7L12 3.5zM4.7 7.8L12 12l7.3-4.2M12 12v8.3" />,
);
export const KeyIcon = icon(
  <path d="M12.5 11.5L20 4M16.5 7.5l2.5 2.5M13.5 14.5a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0z" />,
);
export const PulseIcon = icon(<path d="M3.5 12.5h3.8l2.5-6.5 4.2 12 2.6-5.5h3.9" />);
export const BranchIcon = icon(
  <path d="M7 8.5v7M7 8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM7 20.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM17 8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM17 8.5c0 4-5 3.5-8.5 6" />,
);
export const ColumnsIcon = icon(
  <>
    <rect x="3.5" y="4.5" width="17" height="15" rx="2.5" />
    <path d="M12 4.5v15" />
  </>,
);
export const RefreshIcon = icon(<path d="M19.5 12a7.5 7.5 0 1 1-2.4-5.5M19.5 4v4.5H15" />);
export const PlayIcon = icon(<path d="M5 5.5l6.5 6.5L5 18.5zM13 5.5l6.5 6.5-6.5 6.5z" />);
export const ChevronStartIcon = icon(<path d="M14.5 6L8.5 12l6 6" />);
export const ChevronEndIcon = icon(<path d="M9.5 6l6 6-6 6" />);
export const ChevronDownIcon = icon(<path d="M6 9.5l6 6 6-6" />);
export const InfoIcon = icon(
  <>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M12 11v5.2M12 7.8v.1" />
  </>,
);
export const DownloadIcon = icon(<path d="M12 4.5v10.5M7.5 11l4.5 4.5 4.5-4.5M5 19.5h14" />);
export const EyeIcon = icon(
  <path d="M3 12s3.3-6 9-6 9 6 9 6-3.3 6-9 6-9-6-9-6zM14.6 12a2.6 2.6 0 1 1-5.2 0 2.6 2.6 0 0 1 5.2 0z" />,
);
export const CodeIcon = icon(<path d="M8.5 7L3.5 12l5 5M15.5 7l5 5-5 5" />);
export const WrapIcon = icon(<path d="M4 6h16M4 12h12.5a3 3 0 0 1 0 6H12M14.5 15.5L12 18l2.5 2.5M4 18h4" />);
export const NumbersIcon = icon(
  <path d="M10 6.5h10M10 12h10M10 17.5h10M4.5 4.8v3.6M4 15.5h2L4 19h2M4.2 10.4h1.4v1.6H4.2v1.6h1.6" />,
);
export const ImportIcon = icon(
  <path d="M3.5 12h11M10.5 8l4 4-4 4M12 4.5h5.5a2 2 0 0 1 2 2v11a2 2 0 0 1-2 2H12" />,
);
export const PrintIcon = icon(
  <path d="M7.5 9V4.5h9V9M7.5 16.5h-2a2 2 0 0 1-2-2V11a2 2 0 0 1 2-2h13a2 2 0 0 1 2 2v3.5a2 2 0 0 1-2 2h-2M7.5 13.5h9v6h-9z" />,
);

export const FolderIcon = icon(
  <path d="M3.5 7.5a2 2 0 0 1 2-2h3.7l2 2.5h7.3a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-13a2 2 0 0 1-2-2z" />,
);
export const ClockIcon = icon(<path d="M12 7.5V12l3 2M20 12a8 8 0 1 1-16 0 8 8 0 0 1 16 0z" />);
export const PaperclipIcon = icon(
  <path d="M19.5 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8-8a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9a1.55 1.55 0 0 1-2.2-2.2l7-7" />,
);
export const FileIcon = icon(
  <path d="M13.5 3.5H7.8A1.8 1.8 0 0 0 6 5.3v13.4a1.8 1.8 0 0 0 1.8 1.8h8.4a1.8 1.8 0 0 0 1.8-1.8V8l-4.5-4.5zM13.5 3.5V8H18M9.3 12.5h5.4M9.3 16h5.4" />,
);

export function StopIcon({ className }: IconProps) {
  return (
    <svg viewBox="0 0 24 24" className={className ?? "size-4.5"} aria-hidden="true">
      <rect x="5" y="5" width="14" height="14" rx="2.5" fill="currentColor" />
    </svg>
  );
}
