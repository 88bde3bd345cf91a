// Ollama's JavaScript client.

import { Ollama } from "ollama";

import { CALL, equal, FAKE, HELLO, isPerson, joined, OLLAMA, PARAMETERS, PERSON, REAL, REAL_URL, report, URL, WHO } from "./report.mjs";

const scripted = new Ollama({ host: URL });
const real = new Ollama({ host: REAL_URL });
const user = (content) => [{ role: "user", content }];

await report(OLLAMA, {
  list: async () => equal((await scripted.list()).models.map((model) => model.name), [`${FAKE}:latest`]),
  show: async () => {
    const found = await real.show({ model: REAL });
    if (!found.capabilities.includes("completion")) throw new Error(JSON.stringify(found));
  },
  chat: async () =>
    equal((await scripted.chat({ model: FAKE, messages: user(HELLO) })).message.content, "Hello there"),
  stream: async () => {
    const pieces = await scripted.chat({ model: FAKE, messages: user(HELLO), stream: true });
    equal(await joined(pieces, (piece) => piece.message.content), "Hello there");
  },
  generate: async () =>
    equal((await scripted.generate({ model: FAKE, prompt: HELLO })).response, "Hello there"),
  tool: async () => {
    const tools = [{ type: "function", function: { name: "get_weather", description: "The weather.", parameters: PARAMETERS } }];
    const { message } = await scripted.chat({ model: FAKE, messages: user(CALL), tools });
    equal(message.tool_calls[0].function.arguments, { city: "Oslo" });
  },
  schema: async () => {
    const asked = { model: REAL, messages: user(WHO), format: PERSON, options: { num_predict: 100 } };
    isPerson((await real.chat(asked)).message.content);
  },
  embed: async () => {
    const found = await real.embed({ model: REAL, input: ["Hello", "Goodbye"] });
    equal(found.embeddings.map((one) => one.length > 100), [true, true]);
  },
  "error as text": async () => {
    const error = await scripted.chat({ model: "nothing", messages: user(HELLO) }).catch((error) => error);
    if (!/not found/.test(error.message)) throw error;
  },
});
