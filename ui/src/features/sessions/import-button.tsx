import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { UploadIcon } from "@/components/icons";
import { useSessionActions } from "@/features/sessions/use-session-actions";

/** Imports a chat that was exported, and opens it. */
export function ImportButton({ onMade }: { onMade: (sessionId: string) => void }) {
  const { t } = useTranslation();
  const { upload } = useSessionActions();
  return (
    <IconButton
      label={t("sessions.import")}
      onClick={() => {
        upload(onMade);
      }}
    >
      <UploadIcon />
    </IconButton>
  );
}
