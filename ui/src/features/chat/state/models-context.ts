import { createContext, use } from "react";

import type { ModelStatus } from "@/api/types";

/** The models that the server has. */
export const ChatModelsContext = createContext<readonly Pick<ModelStatus, "id" | "name">[]>([]);

/** A model's name for people; of one that is gone, its id. */
export function useModelName(id: string | null): string | null {
  const models = use(ChatModelsContext);
  return models.find((model) => model.id === id)?.name ?? id;
}
