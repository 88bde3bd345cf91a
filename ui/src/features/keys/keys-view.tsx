import { useState } from "react";
import { useTranslation } from "react-i18next";

import { listKeys, revokeKey } from "@/api/admin";
import type { ApiKey } from "@/api/types";
import { Button } from "@/components/button";
import { PlusIcon } from "@/components/icons";
import { useNotify } from "@/components/toasts";
import { ViewLoading } from "@/components/view-loading";
import { LoadError, ViewPage } from "@/components/view-page";
import { KeyRow } from "@/features/keys/key-row";
import { NewKeyDialog } from "@/features/keys/new-key-dialog";
import { RevokeDialog } from "@/features/keys/revoke-dialog";
import { usePolled } from "@/lib/use-polled";

const everyMs = () => 15_000;

/** The API keys, for callers who may create and revoke them. */
export function KeysView() {
  const { t } = useTranslation();
  const notify = useNotify();
  const { value: keys, error, refresh } = usePolled(listKeys, everyMs);
  const [making, setMaking] = useState(false);
  const [toRevoke, setToRevoke] = useState<ApiKey | null>(null);
  return (
    <ViewPage
      title={t("keys.title")}
      lead={t("keys.lead")}
      action={
        <Button
          variant="accent"
          onClick={() => {
            setMaking(true);
          }}
        >
          <PlusIcon />
          {t("keys.create")}
        </Button>
      }
    >
      {error && <LoadError text={t("keys.notRead")} error={error} onRetry={refresh} />}
      {!keys && !error && <ViewLoading />}
      {keys?.length === 0 && <p className="text-sm text-muted">{t("keys.none")}</p>}
      {keys && keys.length > 0 && (
        <ul
          aria-label={t("keys.list")}
          className="divide-y divide-line rounded-panel border border-line"
        >
          {keys.map((key) => (
            <KeyRow
              key={key.id}
              apiKey={key}
              onRevoke={() => {
                setToRevoke(key);
              }}
            />
          ))}
        </ul>
      )}
      {making && (
        <NewKeyDialog
          onMade={refresh}
          onClose={() => {
            setMaking(false);
          }}
        />
      )}
      {toRevoke && (
        <RevokeDialog
          name={toRevoke.name}
          onCancel={() => {
            setToRevoke(null);
          }}
          onRevoke={async () => {
            await revokeKey(toRevoke.id);
            setToRevoke(null);
            notify({ text: t("keys.revoked", { name: toRevoke.name }) });
            refresh();
          }}
        />
      )}
    </ViewPage>
  );
}
