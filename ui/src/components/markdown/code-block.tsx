import { useRef, type ReactNode } from "react";

import { CopyButton } from "@/components/copy-button";

interface CodeBlockProps {
  language: string | null;
  children: ReactNode;
}

export function CodeBlock({ language, children }: CodeBlockProps) {
  const ref = useRef<HTMLPreElement>(null);
  const name = language ?? "text";
  return (
    <figure className="code-block" aria-label={`Code, ${name}`}>
      <figcaption>
        <span>{name}</span>
        <CopyButton
          label="Copy code"
          className="size-8"
          text={() => ref.current?.textContent.replace(/\n$/, "") ?? ""}
        />
      </figcaption>
      <pre ref={ref} tabIndex={0}>
        {children}
      </pre>
    </figure>
  );
}
