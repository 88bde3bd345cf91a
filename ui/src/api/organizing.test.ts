import { expect, it } from "vitest";

import { piecesOf } from "@/api/organizing";

const chat = (title: string, letters: number) => ({ session: { title }, text: "é".repeat(letters) });

it("divides a large file of many chats, and leaves any other as it is", async () => {
  const chats = Array.from({ length: 12 }, (_, at) => chat(`Chat ${at}`, 700_000));
  const file = new Blob([JSON.stringify({ format: "appliance.chats", version: 1, chats })]);
  const pieces = await piecesOf(file);
  expect(pieces.length).toBeGreaterThan(1);
  const read = await Promise.all(
    pieces.map(async (one) => JSON.parse(await one.text()) as { format: string; chats: unknown[] }),
  );
  expect(read.every(({ format }) => format === "appliance.chats")).toBe(true);
  expect(read.flatMap((one) => one.chats)).toEqual(chats);
  expect(Math.max(...pieces.map(({ size }) => size))).toBeLessThan(8_000_000);

  const small = new Blob([JSON.stringify({ format: "appliance.chats", version: 1, chats: [] })]);
  expect(await piecesOf(small)).toEqual([small]);
  const others = new Blob(["[" + "1,".repeat(4_000_000) + "1]"]);
  expect(await piecesOf(others)).toEqual([others]);
});
