/** Hands a file to the browser, which puts it where the person's downloads go. */
export function saveFile(name: string, content: Blob) {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The download reads it after this call.
  setTimeout(() => {
    URL.revokeObjectURL(address);
  }, 60_000);
}

/** A name that every system takes as a file's. */
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
