import { useTranslation } from "react-i18next";

import type { Me } from "@/api/types";
import { Button } from "@/components/button";
import { useNotify } from "@/components/toasts";

interface SignedInProps {
  me: Me | null;
  onLeave: () => Promise<void>;
}

/** Who is signed in, if keys are required, and a button to sign out. */
export function SignedIn({ me, onLeave }: SignedInProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  if (!me?.auth || me.scope === null) return null;
  const leave = async () => {
    try {
      await onLeave();
    } catch (error) {
      notify({ text: (error as Error).message });
    }
  };
  return (
    <div className="flex items-center justify-between gap-3">
      <p className="min-w-0 text-sm text-muted wrap-anywhere">{t("access.as", { name: me.name })}</p>
      <Button className="shrink-0" onClick={() => void leave()}>
        {t("access.signOut")}
      </Button>
    </div>
  );
}
