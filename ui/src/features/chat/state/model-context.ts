import { createContext, use } from "react";

/** The model that answers in the open chat, as far as the chat shows it. */
export interface AnsweringModel {
  name: string;
  /** Its progress while it is being loaded, 0 to 1, and the seconds left if known; null: it isn't. */
  loading: { progress: number; secondsLeft: number | null } | null;
  /** Its process died at the last requests. */
  failing: boolean;
  /** It runs on a server elsewhere. */
  elsewhere: boolean;
  /** Opens the list of models. */
  choose: () => void;
}

export const AnsweringModelContext = createContext<AnsweringModel | null>(null);

export function useAnsweringModel(): AnsweringModel | null {
  return use(AnsweringModelContext);
}
