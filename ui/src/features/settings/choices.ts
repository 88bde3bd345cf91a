import type { DeviceStatus } from "@/api/types";

/** What the server offers to choose from. */
export interface Choices {
  models: readonly {
    id: string;
    name: string;
    /** Where it runs, once it is loaded. */
    device: string | null;
    /** Where it could run, as far as the server knows. */
    devices: readonly string[];
    /** A deviation from the configuration, such as another device. */
    warning: string | null;
  }[];
  /** The server's devices; empty while it has not found them yet. */
  devices: readonly DeviceStatus[];
}
