import type { TFunction } from "i18next";

export function sessionTitle({ title }: { title: string }, t: TFunction): string {
  return title === "" ? t("sessions.untitled") : title;
}
