/** Whether an address is one of the machine that opens it. */
export function isThisMachine(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** The name of the appliance's machine; null: the browser runs on it. */
export function otherMachine(hostname = location.hostname): string | null {
  return isThisMachine(hostname) ? null : hostname;
}
