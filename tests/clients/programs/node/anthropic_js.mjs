// Anthropic's JavaScript client.

import Anthropic from "@anthropic-ai/sdk";

import { ANTHROPIC, CALL, equal, FAKE, HELLO, KEY, PARAMETERS, report, URL } from "./report.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY, maxRetries: 0 });
const asked = (content) => ({ model: FAKE, max_tokens: 200, messages: [{ role: "user", content }] });
const tools = [{ name: "get_weather", description: "The weather.", input_schema: PARAMETERS }];

await report(ANTHROPIC, {
  models: async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    equal(ids, [FAKE]);
  },
  chat: async () => equal((await client.messages.create(asked(HELLO))).content[0].text, "Hello there"),
  stream: async () => {
    const stream = client.messages.stream(asked(HELLO));
    equal(await stream.finalText(), "Hello there");
  },
  tool: async () => {
    const found = await client.messages.create({ ...asked(CALL), tools });
    const call = found.content.find((block) => block.type === "tool_use");
    equal([found.stop_reason, call.name, call.input], ["tool_use", "get_weather", { city: "Oslo" }]);
  },
  "streamed tool": async () => {
    const found = await client.messages.stream({ ...asked(CALL), tools }).finalMessage();
    const call = found.content.find((block) => block.type === "tool_use");
    equal([call.name, call.input], ["get_weather", { city: "Oslo" }]);
  },
  "count of tokens": async () => {
    const { model, messages } = asked(HELLO);
    const { input_tokens } = await client.messages.countTokens({ model, messages });
    if (!(input_tokens > 0)) throw new Error(String(input_tokens));
  },
});
