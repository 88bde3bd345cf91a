import { use, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import { IconButton } from "@/components/button";
import { CopyButton } from "@/components/copy-button";
import { CodeIcon, DownloadIcon, EyeIcon, MoreIcon, NumbersIcon, WrapIcon } from "@/components/icons";
import { CodeLines } from "@/components/markdown/code/code-lines";
import type { CodePart } from "@/components/markdown/code/code-parts";
import { CodeText } from "@/components/markdown/code/code-text";
import { codeView, toggle } from "@/components/markdown/code/code-view";
import { fileEnding } from "@/components/markdown/code/file-ending";
import { Preview } from "@/components/markdown/preview/preview";
import { previewKind } from "@/components/markdown/preview/preview-kind";
import { Menu } from "@/components/menu";
import { ToastContext } from "@/components/toasts";
import { giveFile } from "@/lib/bridge";

interface CodeBlockProps {
  language: string | null;
  /** As it was written. */
  code: string;
  /** The same, highlighted. */
  parts: readonly CodePart[];
  className: string;
  /** It is not complete, so that there is nothing to preview. */
  growing?: boolean;
}

export function CodeBlock({ language, code, parts, className, growing = false }: CodeBlockProps) {
  const { t } = useTranslation();
  const { wrapped, numbered } = useStore(codeView);
  const [previewed, setPreviewed] = useState(false);
  const name = language ?? t("markdown.plain");
  const kind = growing ? null : previewKind(language, code);
  const shown = kind !== null && previewed;
  return (
    <figure
      className="code-block"
      aria-label={t("markdown.code", { language: name })}
      dir="ltr"
      data-wrapped={wrapped || undefined}
      data-numbered={numbered || undefined}
    >
      <figcaption>
        <span>{name}</span>
        <div className="flex">
          {kind && (
            <IconButton
              label={shown ? t("markdown.showCode") : t("markdown.showPreview")}
              className="size-8"
              onClick={() => {
                setPreviewed(!shown);
              }}
            >
              {shown ? <CodeIcon className="size-4" /> : <EyeIcon className="size-4" />}
            </IconButton>
          )}
          <CodeMenu language={language} code={code} />
          <CopyButton label={t("copy.code")} className="size-8" text={() => code.replace(/\n$/, "")} />
        </div>
      </figcaption>
      {shown ? (
        <Preview kind={kind} code={code} />
      ) : (
        <pre tabIndex={0}>
          <code className={className}>
            {numbered ? <CodeLines parts={parts} /> : <CodeText parts={parts} />}
          </code>
        </pre>
      )}
    </figure>
  );
}

function CodeMenu({ language, code }: { language: string | null; code: string }) {
  const { t } = useTranslation();
  const toasts = use(ToastContext);
  const { wrapped, numbered } = useStore(codeView);
  const save = async () => {
    try {
      await giveFile(`code.${fileEnding(language)}`, new Blob([code], { type: "text/plain" }));
    } catch (error) {
      const reason = error instanceof Error ? error.message : "";
      toasts?.getState().notify({ text: `${t("markdown.notSaved")} ${reason}`.trim() });
    }
  };
  return (
    <Menu
      label={t("markdown.codeMenu")}
      icon={<MoreIcon className="size-4" />}
      className="size-8"
      items={[
        {
          label: t("markdown.wrap"),
          icon: <WrapIcon className="size-4" />,
          checked: wrapped,
          run: () => {
            toggle("wrapped");
          },
        },
        {
          label: t("markdown.numbers"),
          icon: <NumbersIcon className="size-4" />,
          checked: numbered,
          run: () => {
            toggle("numbered");
          },
        },
        {
          label: t("markdown.download"),
          icon: <DownloadIcon className="size-4" />,
          run: () => void save(),
        },
      ]}
    />
  );
}
