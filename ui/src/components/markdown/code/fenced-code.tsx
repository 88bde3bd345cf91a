import { useDeferredValue, useState } from "react";

import { CodeBlock } from "@/components/markdown/code/code-block";
import { CodePainter } from "@/components/markdown/code/code-painter";
import type { Highlighter } from "@/components/markdown/code/highlighter";

interface FencedCodeProps {
  code: string;
  /** "": none. */
  language: string;
  growing: boolean;
  highlighter: Highlighter | null;
}

/** A fenced code block. */
export function FencedCode({ code, language, growing, highlighter }: FencedCodeProps) {
  const [painter] = useState(() => new CodePainter());
  // Highlighting the whole is deferred until nothing else has to be rendered.
  const stillGrowing = useDeferredValue(growing);
  const { className, parts } = painter.paint(code, language, stillGrowing, highlighter);
  return (
    <CodeBlock
      language={language === "" ? null : language}
      code={code}
      parts={parts}
      className={className}
      growing={growing}
    />
  );
}
