import type { ReactNode } from "react";

import type { Stores } from "@/app/compose";
import { ToastContext } from "@/components/toasts";
import { ChatContext } from "@/features/chat/state/chat-context";
import { PresetsContext } from "@/features/presets/presets-context";
import { SessionsContext } from "@/features/sessions/sessions-context";
import { PreferencesContext } from "@/features/settings/appearance-fields";
import { SettingsContext } from "@/features/settings/settings-context";
import { StatusContext } from "@/features/status/status-context";

/** Provides every store to the features. */
export function Providers({ stores, children }: { stores: Stores; children: ReactNode }) {
  return (
    <ToastContext value={stores.toasts}>
      <PreferencesContext value={stores.preferences}>
        <StatusContext value={stores.status}>
          <SessionsContext value={stores.sessions}>
            <SettingsContext value={stores.settings}>
              <PresetsContext value={stores.presets}>
                <ChatContext value={stores.chat}>{children}</ChatContext>
              </PresetsContext>
            </SettingsContext>
          </SessionsContext>
        </StatusContext>
      </PreferencesContext>
    </ToastContext>
  );
}
