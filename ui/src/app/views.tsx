import { lazy, type ComponentType, type LazyExoticComponent } from "react";

import type { Scope } from "@/api/types";
import { CodeIcon, KeyIcon, ModelIcon, PulseIcon, SettingsIcon } from "@/components/icons";
import type { Choices } from "@/features/settings/choices";

/** What every view is given; each takes what it needs. */
export interface PageViewProps {
  /** Whether this caller may load, unload, download and remove models. */
  manages: boolean;
  /** What settings offer to choose from. */
  choices: Choices;
  /** A model was loaded, unloaded or chosen. */
  onModelsChanged: () => void;
}

interface Entry<Name extends string> {
  /** In the address, and the key of its text under `app` in the locales. */
  name: Name;
  icon: ComponentType<{ className?: string }>;
  /** Fetched when the view is opened for the first time. */
  component: LazyExoticComponent<ComponentType<PageViewProps>>;
  /** The keys that open it, one after the other. */
  keys: readonly string[];
  /** The scope that a caller needs to see it; null: none. */
  scope: Scope | null;
  /** Whether the rail lists it; otherwise it is reached from where it belongs. */
  listed?: boolean;
}

function register<const Name extends string>(views: readonly Entry<Name>[]): readonly Entry<Name>[] {
  return views;
}

/** The views beside the chat, in the order in which they are listed. A new one is an entry here. */
export const pageViews = register([
  {
    name: "models",
    icon: ModelIcon,
    component: lazy(async () => ({
      default: (await import("@/features/models/models-view")).ModelsView,
    })),
    keys: ["G", "M"],
    scope: null,
  },
  {
    name: "keys",
    icon: KeyIcon,
    component: lazy(async () => ({
      default: (await import("@/features/keys/keys-view")).KeysView,
    })),
    keys: ["G", "K"],
    scope: "admin",
  },
  {
    name: "status",
    icon: PulseIcon,
    component: lazy(async () => ({
      default: (await import("@/features/status/status-view")).StatusView,
    })),
    keys: ["G", "S"],
    scope: null,
  },
  {
    name: "developers",
    icon: CodeIcon,
    component: lazy(async () => ({
      default: (await import("@/features/developers/developers-view")).DevelopersView,
    })),
    keys: ["G", "D"],
    scope: null,
  },
  {
    name: "everybody",
    icon: SettingsIcon,
    component: lazy(async () => ({
      default: (await import("@/features/settings/everybody-view")).EverybodyView,
    })),
    keys: ["G", "E"],
    scope: "manage",
    listed: false,
  },
]);

export type PageView = (typeof pageViews)[number];

export type PageViewName = PageView["name"];

export function isPageView(name: string): name is PageViewName {
  return pageViews.some((view) => view.name === name);
}
