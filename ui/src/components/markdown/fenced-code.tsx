import { useDeferredValue, useState } from "react";

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
  // To colour the whole waits for a moment in which nothing else is to be shown.
  const stillGrowing = useDeferredValue(growing);
  const { className, parts } = painter.paint(code, language, stillGrowing, highlighter);
  return (
    <CodeBlock language={language === "" ? null : language}>
      <code className={className}>
        <CodeText parts={parts} />
      </code>
    </CodeBlock>
  );
}
