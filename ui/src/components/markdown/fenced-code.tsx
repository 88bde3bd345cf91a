import { useState } from "react";

import { CodeBlock } from "@/components/markdown/code-block";
import { CodePainter } from "@/components/markdown/code-painter";
import { CodeText } from "@/components/markdown/code-text";
import type { Highlighter } from "@/components/markdown/use-highlighter";

interface FencedCodeProps {
  code: string;
  /** "": none is named. */
  language: string;
  growing: boolean;
  highlighter: Highlighter | null;
}

/** A block of code that stands by itself. */
export function FencedCode({ code, language, growing, highlighter }: FencedCodeProps) {
  const [painter] = useState(() => new CodePainter());
  const { className, parts } = painter.paint(code, language, growing, highlighter);
  return (
    <CodeBlock language={language === "" ? null : language}>
      <code className={className}>
        <CodeText parts={parts} />
      </code>
    </CodeBlock>
  );
}
