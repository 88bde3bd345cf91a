/** Downloads a file in the browser. */
export function saveFile(name: string, content: Blob) {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The download starts after this call.
  setTimeout(() => {
    URL.revokeObjectURL(address);
  }, 60_000);
}

/** A file name that is valid on every system. */
export function fileName(text: string, ending: string): string {
  const plain = text
    .replace(/[\p{Cc}\\/:*?"<>|]+/gu, " ")
    .replace(/(^|\s)\.+(?=\s|$)/g, " ")
    .replace(/\s+/g, " ")
    .trim()
    .replace(/^\.+/, "")
    .slice(0, 80)
    .trim();
  return `${plain === "" ? "chat" : plain}.${ending}`;
}
