import { expect, it } from "vitest";

import { otherMachine } from "@/lib/place";

it.each(["localhost", "app.localhost", "127.0.0.1", "127.1.2.3", "[::1]"])(
  "knows that %s is this machine",
  (host) => {
    expect(otherMachine(host)).toBeNull();
  },
);

it.each(["192.168.1.20", "box.local", "localhost.example", "127.0.0.1.example", "[fe80::1]"])(
  "does not take %s for this machine",
  (host) => {
    expect(otherMachine(host)).toBe(host);
  },
);
