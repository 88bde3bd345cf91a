import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { PreviewKind } from "@/components/markdown/preview/preview-kind";

interface PreviewProps {
  kind: PreviewKind;
  code: string;
}

/** What the frame reports; it runs a model's code, so that nothing about it is certain. */
interface Report {
  ready?: unknown;
  height?: unknown;
  error?: unknown;
}

/** The source of Mermaid: the frame has no network to load it from. */
async function mermaidSource(): Promise<string> {
  const { default: address } = await import("@mermaid-js/tiny/dist/mermaid.tiny.js?url");
  const response = await fetch(address);
  if (!response.ok) throw new Error(response.statusText);
  return response.text();
}

/** Code as the page or drawing that it describes, in a frame without origin and network. */
export function Preview({ kind, code }: PreviewProps) {
  const { t } = useTranslation();
  const frame = useRef<HTMLIFrameElement>(null);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    const listen = (event: MessageEvent<Report | null>) => {
      const element = frame.current;
      if (!element?.contentWindow || event.source !== element.contentWindow) return;
      const { ready, height, error: failure } = event.data ?? {};
      if (ready === true) void send(element.contentWindow);
      if (typeof height === "number") element.style.height = `${Math.min(Math.max(height, 40), 2000)}px`;
      if (typeof failure === "string") setError(failure.slice(0, 500));
    };
    const send = async (to: Window) => {
      try {
        const library = kind === "mermaid" ? await mermaidSource() : "";
        to.postMessage({ kind, code, library }, "*");
      } catch (failure) {
        setError(String(failure));
      }
    };
    window.addEventListener("message", listen);
    return () => {
      window.removeEventListener("message", listen);
    };
  }, [kind, code]);

  if (error !== null) {
    return (
      <p role="status" className="preview-error">
        {t("markdown.notShown")} <span dir="ltr">{error}</span>
      </p>
    );
  }
  return (
    <iframe
      ref={frame}
      title={t("markdown.preview")}
      src="/preview"
      sandbox="allow-scripts"
      allow=""
      referrerPolicy="no-referrer"
      data-kind={kind}
    />
  );
}
