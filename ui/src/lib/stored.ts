/** Local storage; if it is not available, nothing is stored and nothing breaks. */

export function readStored(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function writeStored(name: string, value: string) {
  try {
    localStorage.setItem(name, value);
  } catch {
    return;
  }
}
