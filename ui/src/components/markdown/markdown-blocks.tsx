import type { Root as HtmlRoot } from "hast";
import type { Root } from "mdast";
import { Fragment, memo, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import ReactMarkdown, { type Options } from "react-markdown";
import remarkGfm from "remark-gfm";
import remend from "remend";

import { FencedCode } from "@/components/markdown/code/fenced-code";
import { detailsParts } from "@/components/markdown/details-parts";
import { elements } from "@/components/markdown/elements";
import { noteNumbers, notesOf, numbersOf } from "@/components/markdown/footnotes";
import { Growing } from "@/components/markdown/formulas/formula";
import { Protector, restore } from "@/components/markdown/formulas/protect";
import { showProtected } from "@/components/markdown/formulas/show-protected";
import type { Highlighter } from "@/components/markdown/code/highlighter";
import { isSafeUrl } from "@/components/markdown/safe-url";
import {
  definitionsByName,
  definitionsFor,
  noteLine,
  splitBlocks,
} from "@/components/markdown/split-blocks";
import { splitPieces } from "@/components/markdown/split-pieces";
import { TableFrame } from "@/components/markdown/table-frame";
import { useHighlighter } from "@/components/markdown/code/use-highlighter";

import "@/components/markdown/markdown.css";

/** Turns a block of raw HTML into a paragraph that shows it. */
function htmlAsText() {
  return (tree: Root) => {
    tree.children = tree.children.map((node) =>
      node.type === "html"
        ? {
            type: "paragraph",
            children: [{ type: "text", value: node.value }],
            data: { hProperties: { className: ["whitespace-pre-wrap"] } },
          }
        : node,
    );
  };
}

/** A list, table or paragraph without its outer element, which already exists. */
function withoutFrame() {
  return (tree: HtmlRoot) => {
    tree.children = tree.children.flatMap((node) => {
      if (node.type !== "element" || !frames.has(node.tagName)) return [node];
      if (node.tagName === "p") return node.children;
      // HTML allows no text between rows, not even a line break.
      return node.children.filter(({ type }) => type === "element");
    });
  };
}

/** The rows of a table whose head already exists. */
function rowsOnly() {
  return (tree: HtmlRoot) => {
    tree.children = tree.children.filter(
      (node) => !(node.type === "element" && node.tagName === "thead"),
    );
  };
}

const frames = new Set(["ul", "ol", "table", "p"]);

/** The items of a loose list, even a piece with a single one. */
function looseLists() {
  return (tree: Root) => {
    for (const node of tree.children) if (node.type === "list") node.spread = true;
  };
}

type PluggableList = NonNullable<Options["remarkPlugins"]>;

const base: PluggableList = [remarkGfm, showProtected, htmlAsText];

/** The remark and rehype plugins, depending on what a text is part of. */
const roles = {
  block: [base, []],
  items: [base, [withoutFrame]],
  looseItems: [[...base, looseLists], [withoutFrame]],
  table: [base, [withoutFrame]],
  rows: [base, [withoutFrame, rowsOnly]],
  words: [base, [withoutFrame]],
} satisfies Record<string, [PluggableList, PluggableList]>;

interface TextProps {
  text: string;
  role: keyof typeof roles;
  highlighter: Highlighter | null;
}

/** A text that is parsed as a whole, and rendered again only if it changes. */
const Text = memo(function Text({ text, role, highlighter }: TextProps) {
  const [before, after] = roles[role];
  return (
    <ReactMarkdown
      remarkPlugins={before}
      rehypePlugins={highlighter ? [() => highlighter, ...after] : after}
      remarkRehypeOptions={noteNumbers}
      components={elements}
      urlTransform={(url) => (isSafeUrl(url) ? url : null)}
    >
      {text}
    </ReactMarkdown>
  );
});

/** Formulas are complete before Markdown is parsed. */
const noFormulas = { katex: false, inlineKatex: false };

/** Deeply nested marks, as a model that repeats itself writes them: parsing them would take minutes. */
const tooDeep = /^[ \t]*(?:(?:>|(?:[-+*]|\d{1,9}[.)])[ \t])[ \t]*){40}/m;

interface BlockProps {
  text: string;
  /** The link definitions that it refers to. */
  definitions: string;
  growing: boolean;
  highlighter: Highlighter | null;
}

/** A complete or growing block; a complete one is never rendered again. */
const Block = memo(function Block({ text, definitions, growing, highlighter }: BlockProps) {
  const { t } = useTranslation();
  const pieces = splitPieces(text, growing);
  const piece = (shown: string, role: TextProps["role"], index = 0, count = 1) => {
    // Unclosed marks would flicker as bare asterisks.
    const last = growing && index === count - 1;
    const ended = last ? remend(shown, noFormulas) : shown;
    return (
      <Growing key={index} value={last}>
        <Text
          text={definitions && shown.includes("[") ? `${ended}\n\n${definitions}` : ended}
          role={role}
          highlighter={highlighter}
        />
      </Growing>
    );
  };
  if (pieces?.kind !== "code" && tooDeep.test(text)) {
    return <p className="whitespace-pre-wrap">{restore(text).trim()}</p>;
  }
  const details = detailsParts(text);
  if (details) {
    return (
      // One that has no end, because the reply was stopped, hides nothing.
      <details open={details.open || (!details.whole && !growing)}>
        <summary>
          {details.summary === "" ? t("markdown.details") : piece(details.summary, "words")}
        </summary>
        <Blocks
          text={details.text}
          definitions={definitions}
          growing={growing}
          highlighter={highlighter}
        />
      </details>
    );
  }
  if (pieces === null) return piece(text, "block");
  if (pieces.kind === "table") {
    const { tables } = pieces;
    return (
      <TableFrame>
        {tables.map((table, index) =>
          piece(table, index === 0 ? "table" : "rows", index, tables.length),
        )}
      </TableFrame>
    );
  }
  if (pieces.kind === "paragraph") {
    const words = pieces.pieces;
    return (
      <p>
        {words.map((one, index) => (
          <Fragment key={index}>
            {one.gap}
            {piece(one.text, "words", index, words.length)}
          </Fragment>
        ))}
      </p>
    );
  }
  if (pieces.kind === "quote") {
    return (
      <blockquote>
        <Blocks
          text={pieces.text}
          definitions={definitions}
          growing={growing}
          highlighter={highlighter}
        />
      </blockquote>
    );
  }
  if (pieces.kind === "code") {
    const { code, language } = pieces;
    return (
      <FencedCode
        code={restore(code)}
        language={language}
        growing={growing}
        highlighter={highlighter}
      />
    );
  }
  const { ordered, start, items } = pieces;
  const shown = items.map((one, index) =>
    piece(one.text, one.loose ? "looseItems" : "items", index, items.length),
  );
  return ordered ? <ol start={start}>{shown}</ol> : <ul>{shown}</ul>;
});

function Blocks({ text, definitions: around, growing, highlighter }: BlockProps) {
  const { t } = useTranslation();
  const { blocks, definitions } = useMemo(() => splitBlocks(text), [text]);
  const notes = useMemo(() => notesOf(blocks), [blocks]);
  const numbers = numbersOf(notes);
  const named = useMemo(
    () => definitionsByName([around, definitions, numbers].join("\n")),
    [around, definitions, numbers],
  );
  const last = blocks.at(-1) ?? "";
  return (
    <>
      {blocks.map((block, index) =>
        noteLine.test(block) ? null : (
          <Block
            key={index}
            text={block}
            definitions={definitionsFor(block, named)}
            growing={growing && index === blocks.length - 1}
            highlighter={highlighter}
          />
        ),
      )}
      {notes.length > 0 && (
        <ol className="notes" aria-label={t("markdown.notes")}>
          {notes.map((note, index) => (
            <li key={note.name}>
              <FootnoteText
                text={note.text}
                definitions={definitionsFor(note.text, named)}
                growing={growing && noteLine.test(last) && index === notes.length - 1}
                highlighter={highlighter}
              />
            </li>
          ))}
        </ol>
      )}
    </>
  );
}

/** The text of a footnote, which can have several blocks. */
const FootnoteText = memo(Blocks);

interface MarkdownBlocksProps {
  text: string;
  growing: boolean;
}

export function MarkdownBlocks({ text, growing }: MarkdownBlocksProps) {
  const highlighter = useHighlighter(/^[\s>]*(?:```|~~~)/m.test(text));
  const [protector] = useState(() => new Protector());
  const shown = useMemo(() => protector.protect(text, growing), [protector, text, growing]);
  return (
    <div className="markdown">
      <Blocks text={shown} definitions="" growing={growing} highlighter={highlighter} />
    </div>
  );
}
