import type { ReactNode } from "react";
import { useStore } from "zustand";

import type { ModelStatus } from "@/api/types";
import type { Stores } from "@/app/compose";
import { ToastContext } from "@/components/toasts";
import { ChatContext } from "@/features/chat/state/chat-context";
import { ChatModelsContext } from "@/features/chat/state/models-context";
import { PresetsContext } from "@/features/presets/presets-context";
import { SessionsContext } from "@/features/sessions/sessions-context";
import { PreferencesContext } from "@/features/settings/appearance-fields";
import { SettingsContext } from "@/features/settings/settings-context";
import { StatusContext } from "@/features/status/status-context";

const noModels: readonly ModelStatus[] = [];

/** Provides every store to the features. */
export function Providers({ stores, children }: { stores: Stores; children: ReactNode }) {
  const models = useStore(stores.status, ({ server }) => server?.models ?? noModels);
  return (
    <ToastContext value={stores.toasts}>
      <PreferencesContext value={stores.preferences}>
        <StatusContext value={stores.status}>
          <SessionsContext value={stores.sessions}>
            <SettingsContext value={stores.settings}>
              <PresetsContext value={stores.presets}>
                <ChatModelsContext value={models}>
                  <ChatContext value={stores.chat}>{children}</ChatContext>
                </ChatModelsContext>
              </PresetsContext>
            </SettingsContext>
          </SessionsContext>
        </StatusContext>
      </PreferencesContext>
    </ToastContext>
  );
}
