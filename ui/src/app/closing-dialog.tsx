import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { answerClosing, onClosing } from "@/lib/bridge";

/** Asks what becomes of a reply when the desktop window is closed. */
export function ClosingDialog() {
  const { t } = useTranslation();
  const [asks, setAsks] = useState(false);

  useEffect(
    () =>
      onClosing(() => {
        setAsks(true);
      }),
    [],
  );

  if (!asks) return null;
  const answer = (chosen: "finish" | "stop" | "stay") => () => {
    setAsks(false);
    answerClosing(chosen);
  };
  return (
    <Dialog
      title={t("closing.title")}
      onClose={answer("stay")}
      actions={
        <>
          <Button onClick={answer("stay")}>{t("app.cancel")}</Button>
          <Button onClick={answer("stop")}>{t("closing.stop")}</Button>
          <Button variant="accent" data-first onClick={answer("finish")}>
            {t("closing.finish")}
          </Button>
        </>
      }
    >
      <p>{t("closing.text")}</p>
    </Dialog>
  );
}
