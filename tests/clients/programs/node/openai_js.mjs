// OpenAI's JavaScript client.

import OpenAI from "openai";

import { ANSWER, CALL, CHAT, EMBEDDINGS, equal, FAKE, HELLO, isPerson, joined, KEY, PARAMETERS, PERSON, REAL, REAL_URL, report, RESPONSES, URL, weather, WHO } from "./report.mjs";

const scripted = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0 });
const real = new OpenAI({ baseURL: `${REAL_URL}/v1`, apiKey: KEY, maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const definition = { name: "get_weather", description: "The weather.", parameters: PARAMETERS };

await report(CHAT, {
  models: async () => equal((await joined(await scripted.models.list(), (model) => model.id)), FAKE),
  chat: async () => {
    const found = await scripted.chat.completions.create({ model: FAKE, messages: user(HELLO) });
    equal(found.choices[0].message.content, "Hello there");
  },
  stream: async () => {
    const pieces = await scripted.chat.completions.create({ model: FAKE, messages: user(HELLO), stream: true });
    equal(await joined(pieces, (chunk) => chunk.choices[0]?.delta.content), "Hello there");
  },
  "tool runner": async () => {
    const runner = scripted.chat.completions.runTools({
      model: FAKE,
      messages: user(CALL),
      tools: [{ type: "function", function: { ...definition, function: weather, parse: JSON.parse } }],
    });
    equal(await runner.finalContent(), ANSWER);
  },
  "streamed tool runner": async () => {
    const runner = scripted.chat.completions.runTools({
      model: FAKE,
      stream: true,
      messages: user(CALL),
      tools: [{ type: "function", function: { ...definition, function: weather, parse: JSON.parse } }],
    });
    equal(await runner.finalContent(), ANSWER);
  },
  schema: async () => {
    const found = await real.chat.completions.create({
      model: REAL,
      max_tokens: 100,
      messages: user(WHO),
      response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema: PERSON } },
    });
    isPerson(found.choices[0].message.content);
  },
});
await report(RESPONSES, {
  chat: async () =>
    equal((await scripted.responses.create({ model: FAKE, input: HELLO })).output_text, "Hello there"),
  stream: async () => {
    const pieces = await scripted.responses.create({ model: FAKE, input: HELLO, stream: true });
    equal(await joined(pieces, (event) => (event.type === "response.output_text.delta" ? event.delta : "")), "Hello there");
  },
  tool: async () => {
    const tools = [{ type: "function", ...definition, strict: true }];
    const first = await scripted.responses.create({ model: FAKE, input: CALL, tools });
    const call = first.output.find((item) => item.type === "function_call");
    const output = weather(JSON.parse(call.arguments));
    const second = await scripted.responses.create({
      model: FAKE,
      tools,
      previous_response_id: first.id,
      input: [{ type: "function_call_output", call_id: call.call_id, output }],
    });
    equal(second.output_text, ANSWER);
  },
});
await report(EMBEDDINGS, {
  embeddings: async () => {
    // The client asks for base64 and reads it itself.
    const found = await real.embeddings.create({ model: REAL, input: ["Hello", "Goodbye"] });
    equal(found.data.map((one) => one.embedding.length > 100), [true, true]);
  },
});
