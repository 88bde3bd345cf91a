/** What the server says, by its own description; times are Unix milliseconds. */

import type { components } from "@/api/types.gen";

type Schemas = components["schemas"];

/** How replies are made; a null field follows the profile behind it. */
export type Settings = Required<Schemas["Settings"]>;

export type Session = Omit<Schemas["Session"], "settings"> & {
  /** What this chat sets apart from the default profile. */
  settings: Settings | null;
};

/** The default profile with what stands behind it. */
export type Profile = Settings & {
  defaults: Settings;
  limits: Pick<Required<Schemas["Limits"]>, "max_response_tokens">;
};

/** A chat's message that a search found; `snippet` is cut into found and other text. */
export type SearchHit = Schemas["Hit"];

export type MessageStatus = Schemas["Message"]["status"];

export type CachedFrom = "slot" | "shared" | "memory" | "disk";

export type Usage = Omit<Schemas["Usage"], "cached_from"> & {
  /** Where the cached tokens were, that did not have to be read again. */
  cached_from: CachedFrom | null;
};

export type Message = Omit<Schemas["Message"], "usage"> & { usage: Usage | null };

export type ModelStatus = Schemas["ModelStatus"];

/** A processor or a GPU of the server's machine. */
export type DeviceStatus = Schemas["DeviceStatus"];

export type ServerStatus = Pick<Schemas["Status"], "version" | "uptime_seconds" | "models"> &
  Partial<Pick<Schemas["Status"], "refused_variants" | "devices">> & {
    figures?: Figures;
  };

export type ErrorBody = Schemas["ErrorObject"];

export type Prefill = Omit<Schemas["PromptRead"], "cached_from">;

/** One event of a reply that begins, or of one that is followed. */
export type TurnEvent =
  | { type: "turn"; user: Message; reply: Message; dropped_messages: number }
  | ({ type: "queued" } & Schemas["Waiting"])
  | ({ type: "prefill" } & Prefill)
  /** `offset`: Unicode code points of reasoning and text together after this piece. */
  | ({ type: "delta" } & Schemas["TextAdded"])
  | { type: "done"; message: Message }
  | { type: "error"; error: ErrorBody; message: Message };

/** A model on this machine, or one that is configured and not here. */
export type LocalModel = Schemas["LocalModel"];

export type Scope = Schemas["Key"]["scope"];

/** Who this page is to the server; without a scope: nobody in particular, who may see nothing. */
export type Me = Schemas["Me"];

export type ApiKey = Required<Schemas["Key"]>;

/** Figures of the whole appliance. */
export type Figures = Schemas["Figures"];

/** A model worth having, out of the list that comes with the appliance. */
export type Suggestion = Schemas["Suggestion"];

/** A repository that a search on the hub found. */
export type HubModel = Schemas["HubModel"];

/** How the page looks, as far as somebody said. */
export type Preferences = Required<Schemas["Preferences"]>;

export type Catalogue = Schemas["Catalogue"];

export type Download = Schemas["Told"];
