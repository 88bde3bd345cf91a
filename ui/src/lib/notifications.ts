import { readStored, writeStored } from "@/lib/stored";

/** The browser asks for permission for itself, so the choice is this browser's too. */
const stored = "notify";

/** Whether this browser can show notifications for this page at all. */
export function canNotify(): boolean {
  return "Notification" in window && window.isSecureContext;
}

/** Whether somebody switched notifications on here, and the browser still permits them. */
export function isNotifying(): boolean {
  return canNotify() && readStored(stored) === "yes" && Notification.permission === "granted";
}

/** Switches notifications on, if the browser's owner permits it, or off; returns whether they are on. */
export async function setNotifying(on: boolean): Promise<boolean> {
  const permitted = on && canNotify() && (await Notification.requestPermission()) === "granted";
  writeStored(stored, permitted ? "yes" : "no");
  return permitted;
}

/** Shows a notification; a click on it brings this page to the front. */
export function showNotification(title: string, body: string) {
  const shown = new Notification(title, { body, tag: "reply" });
  shown.onclick = () => {
    window.focus();
    shown.close();
  };
}
