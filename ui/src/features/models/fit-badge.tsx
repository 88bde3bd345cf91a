import { useTranslation } from "react-i18next";

import type { Suggestion } from "@/api/types";
import { classNames } from "@/lib/class-names";

const looks: Record<Suggestion["fits"], string> = {
  fits: "text-accent",
  partly: "text-warn",
  too_big: "text-danger",
};

/** Whether a model can run here. */
export function FitWord({ fits }: Pick<Suggestion, "fits">) {
  const { t } = useTranslation();
  return <span className={classNames("text-sm", looks[fits])}>{t(`models.fits.${fits}`)}</span>;
}
