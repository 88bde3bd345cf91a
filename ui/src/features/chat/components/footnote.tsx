import { useTranslation } from "react-i18next";

import { useAnsweringModel } from "@/features/chat/state/model-context";
import { otherMachine } from "@/lib/place";

/** Where replies are generated, and how far they can be trusted. */
export function Footnote() {
  const { t } = useTranslation();
  const elsewhere = useAnsweringModel()?.elsewhere ?? false;
  const host = otherMachine();
  if (elsewhere) return t("chat.footnoteUpstream");
  return host === null ? t("chat.footnote") : t("chat.footnoteAt", { host });
}

/** The same before the first message, in a sentence or two. */
export function WhereItRuns() {
  const { t } = useTranslation();
  const elsewhere = useAnsweringModel()?.elsewhere ?? false;
  const host = otherMachine();
  if (elsewhere) return t("welcome.leadUpstream");
  return host === null ? t("welcome.lead") : t("welcome.leadAt", { host });
}
