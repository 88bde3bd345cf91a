import { useState } from "react";

import { readStored, writeStored } from "@/lib/stored";

/** A choice that this browser remembers; where it may not, it lasts as long as the page. */
export function useStoredFlag(name: string): [boolean, (value: boolean) => void] {
  const [value, setValue] = useState(() => readStored(name) === "yes");
  const store = (next: boolean) => {
    setValue(next);
    writeStored(name, next ? "yes" : "no");
  };
  return [value, store];
}
