import { useState } from "react";

function read(name: string): boolean {
  try {
    return localStorage.getItem(name) === "yes";
  } catch {
    return false;
  }
}

/** A choice that this browser remembers; where it may not, it lasts as long as the page. */
export function useStoredFlag(name: string): [boolean, (value: boolean) => void] {
  const [value, setValue] = useState(() => read(name));
  const store = (next: boolean) => {
    setValue(next);
    try {
      localStorage.setItem(name, next ? "yes" : "no");
    } catch {
      return;
    }
  };
  return [value, store];
}
