import { useState } from "react";
import { useTranslation } from "react-i18next";

import { listModels } from "@/api/models";
import type { LocalModel, ModelStatus } from "@/api/types";
import { ChoiceMenu, type Choice } from "@/components/choice-menu";
import { ChevronDownIcon } from "@/components/icons";
import { ProgressBar } from "@/components/progress-bar";
import { abilitiesOf } from "@/features/models/facts";
import { classNames } from "@/lib/class-names";
import { formatSeconds } from "@/lib/format";

interface ModelPickerProps {
  /** The models as they are now. */
  models: readonly ModelStatus[];
  /** The model of this chat; null: it has none of its own. */
  ownId: string | null;
  /** The one that answers where a chat has none of its own. */
  defaultId: string | null;
  /** Seconds until the model of this chat is loaded; null: unknown. */
  secondsLeft: number | null;
  /** Opened from elsewhere; counts up. */
  opened: number;
  onChoose: (id: string | null) => void;
  /** To the view with all models. */
  onAll: () => void;
}

/** The model that answers in this chat, and a list of those that could. */
export function ModelPicker(props: ModelPickerProps) {
  const { models, ownId, defaultId, secondsLeft, opened, onChoose, onAll } = props;
  const { t } = useTranslation();
  const [known, setKnown] = useState<readonly LocalModel[]>([]);
  const id = ownId ?? defaultId;
  const model = models.find((one) => one.id === id);
  const nameOf = (wanted: string | null) =>
    models.find((one) => one.id === wanted)?.name ?? wanted ?? t("status.noModel");
  const name = nameOf(id);
  const state = stateOf();

  function stateOf(): { text: string; trouble: boolean } | null {
    if (models.length === 0) return null;
    if (!model) return { text: t("picker.gone"), trouble: true };
    if (model.missing) return { text: t("picker.missing"), trouble: true };
    switch (model.state) {
      case "ready":
        return null;
      case "loading": {
        const percent = t("status.loading", { percent: Math.round(model.progress * 100) });
        const left =
          secondsLeft === null
            ? null
            : t("warmUp.left", { time: formatSeconds(Math.max(1, secondsLeft)) });
        return { text: [percent, left].filter(Boolean).join(" · "), trouble: false };
      }
      case "failing":
        return { text: t("status.failing"), trouble: true };
      case "failed":
        return { text: t("status.failed"), trouble: true };
      case "stopped":
      case "unloaded":
        return { text: t("status.sleeping"), trouble: false };
    }
  }

  function choiceOf(one: ModelStatus): Choice {
    const facts = known.find((local) => local.id === one.id);
    const notes = [
      one.state === "ready" ? "" : t(`picker.state.${one.missing ? "missing" : one.state}`),
      ...(facts ? abilitiesOf(facts, t) : []),
    ];
    return {
      key: one.id,
      label: one.id === defaultId ? t("picker.isDefault", { name: one.name }) : one.name,
      note: notes.filter((note) => note !== "").join(" · ") || undefined,
      disabled: one.missing === true || facts?.fits === "too_big",
      run: () => {
        onChoose(one.id === defaultId ? null : one.id);
      },
    };
  }

  const embeds = new Set(known.filter((local) => local.embeds).map((local) => local.id));
  const text = `${t("picker.label")}: ${[name, state?.text].filter(Boolean).join(", ")}`;
  return (
    <div className="flex min-w-0 items-center gap-2">
      <ChoiceMenu
        label={text}
        chosen={id}
        opened={opened}
        choices={models.filter((one) => !embeds.has(one.id)).map(choiceOf)}
        actions={[{ key: "all", label: t("picker.all"), run: onAll }]}
        onOpen={() => {
          // What the models can do is small print: the list is there without it.
          listModels().then(setKnown, () => undefined);
        }}
        buttonClass="flex min-h-6 min-w-0 items-center gap-1 rounded-control px-2 text-[0.8125rem] leading-5 text-muted hover:bg-hover hover:text-text pointer-coarse:min-h-9"
      >
        <span dir="auto" className="truncate font-medium">
          {name}
        </span>
        {state && (
          <span
            className={classNames(
              "truncate tabular-nums max-sm:sr-only",
              state.trouble ? "text-danger" : "text-faint",
            )}
          >
            {state.text}
          </span>
        )}
        {state?.trouble && (
          <span aria-hidden="true" className="size-1.5 shrink-0 rounded-full bg-danger sm:hidden" />
        )}
        <ChevronDownIcon className="size-3.5 text-faint" />
      </ChoiceMenu>
      {model?.state === "loading" && (
        <ProgressBar
          label={t("warmUp.loading", { name })}
          value={model.progress}
          className="w-20 shrink-0 max-sm:w-12"
        />
      )}
    </div>
  );
}
