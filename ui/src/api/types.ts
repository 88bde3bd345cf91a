/** The types of the API, from its OpenAPI document; times are Unix milliseconds. */

import type { components } from "@/api/types.gen";

type Schemas = components["schemas"];

/** Settings for replies; a null field inherits from the profile. */
export type Settings = Required<Schemas["Settings"]>;

export type Session = Omit<Schemas["Session"], "settings"> & {
  /** The settings in which this chat differs from the default profile. */
  settings: Settings | null;
};

/** Some sessions from the first one on, or what has changed in the list. */
export type ChangedSessions = Omit<Schemas["ChangedSessions"], "sessions"> & { sessions: Session[] };

/** A folder for chats, of this caller alone. */
export type Folder = Omit<Schemas["Folder"], "settings"> & {
  /** What a new chat in it begins with. */
  settings: Settings | null;
};

/** Chats that were deleted and can be restored. */
export type DeletedSessions = Schemas["DeletedAnswer"];

/** The default profile, with the built-in defaults and limits. */
export type Profile = Settings & {
  defaults: Settings;
  limits: Pick<Required<Schemas["LimitsSettings"]>, "max_response_tokens">;
};

/** Settings under a name. */
export type Preset = Omit<Schemas["Preset"], "settings"> & { settings: Settings };

/** A message found by a search; `snippet` is split into matching and other text. */
export type SearchHit = Schemas["SearchHit"];

/** What became of a file with chats. */
export type ImportReport = Schemas["ImportReport"];

export type MessageStatus = Schemas["Message"]["status"];

export type CachedFrom = "slot" | "shared" | "memory" | "disk";

export type Usage = Omit<Schemas["MessageUsage"], "cached_from"> & {
  /** Where the reused tokens were cached. */
  cached_from: CachedFrom | null;
};

export type Message = Omit<Schemas["Message"], "usage"> & { usage: Usage | null };

/** A file that a message has with it. */
export type Attachment = Schemas["Attachment"];

/** How much of the attachments of a message fits into the model's context. */
export type AttachmentFits = Schemas["AttachmentFits"];

export type ModelStatus = Schemas["ModelStatus"];

/** A CPU or GPU of the server's machine. */
export type DeviceStatus = Schemas["DeviceStatus"];

export type ServerStatus = Pick<Schemas["Status"], "version" | "uptime_seconds" | "models"> &
  Partial<Pick<Schemas["Status"], "refused_variants" | "devices" | "storage">> & {
    figures?: Figures;
  };

export type RecentRequest = Required<Schemas["RecentRequest"]>;

export type ErrorBody = Schemas["ErrorObject"];

export type Prefill = Omit<Schemas["PromptProgress"], "cached_from">;

/** An event of a reply, whether it was just started or is being followed. */
export type TurnEvent =
  | { type: "turn"; user: Message; reply: Message; dropped_messages: number }
  | ({ type: "queued" } & Schemas["Waiting"])
  | ({ type: "prefill" } & Prefill)
  /** `offset`: Unicode code points of reasoning and text together after this delta. */
  | ({ type: "delta" } & Schemas["TextDelta"])
  | { type: "done"; message: Message }
  | { type: "error"; error: ErrorBody; message: Message };

/** The prompt of a stored reply, token by token. */
export type SentPrompt = Schemas["SentAnswer"];

export type PromptPart = Schemas["PromptPart"];

/** A model on this machine, or one that is configured but missing. */
export type LocalModel = Schemas["LocalModel"];

export type Scope = Schemas["Key"]["scope"];

/** Who is signed in; without a scope: nobody, without any access. */
export type Me = Schemas["Me"];

export type ApiKey = Required<Schemas["Key"]>;

/** Metrics of the whole appliance. */
export type Figures = Schemas["DashboardFigures"];

/** A recommended model from the list that comes with the appliance. */
export type Suggestion = Schemas["Suggestion"];

/** A repository that a search on the hub found. */
export type HubModel = Schemas["HubModel"];

/** How the page looks, as far as it was set. */
export type Preferences = Required<Schemas["Preferences"]>;

export type Catalogue = Schemas["Catalogue"];

export type Download = Schemas["DownloadStatus"];
