// Vercel's AI SDK: its OpenAI provider (Responses, the default, and Chat Completions), the one for
// compatible servers, and Anthropic's.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { ANSWER, ANTHROPIC, CALL, CHAT, EMBEDDINGS, equal, FAKE, HELLO, isPerson, joined, KEY, REAL, REAL_URL, report, RESPONSES, URL, weather, WHO } from "./report.mjs";

const models = {
  [RESPONSES]: (url, id) => createOpenAI({ baseURL: `${url}/v1`, apiKey: KEY })(id),
  [CHAT]: (url, id) => createOpenAI({ baseURL: `${url}/v1`, apiKey: KEY }).chat(id),
  [`${CHAT}, compatible`]: (url, id) =>
    createOpenAICompatible({
      name: "appliance",
      baseURL: `${url}/v1`,
      supportsStructuredOutputs: true,
    })(id),
  [ANTHROPIC]: (url, id) => createAnthropic({ baseURL: `${url}/v1`, apiKey: KEY })(id),
};

const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: weather,
  }),
};
const schema = z.object({ name: z.enum(["Ada", "Grace"]), age: z.number().int().min(0).max(150) });

for (const [api, model] of Object.entries(models)) {
  const tries = {};
  const scripted = { model: model(URL, FAKE), maxRetries: 0 };
  tries.chat = async () =>
    equal((await generateText({ ...scripted, prompt: HELLO })).text, "Hello there");
  tries.stream = async () =>
    equal(await joined(streamText({ ...scripted, prompt: HELLO }).textStream, (piece) => piece), "Hello there");
  tries.tool = async () =>
    equal((await generateText({ ...scripted, prompt: CALL, tools, stopWhen: stepCountIs(3) })).text, ANSWER);
  tries.schema = async () =>
    isPerson(
      (
        await generateText({
          model: model(REAL_URL, REAL),
          maxRetries: 0,
          maxOutputTokens: 100,
          prompt: WHO,
          output: Output.object({ schema }),
        })
      ).output,
    );
  await report(api, tries);
}
await report(EMBEDDINGS, {
  embeddings: async () => {
    const model = createOpenAI({ baseURL: `${REAL_URL}/v1`, apiKey: KEY }).embeddingModel(REAL);
    const { embedding } = await embed({ model, value: "Hello", maxRetries: 0 });
    if (embedding.length < 100) throw new Error(`${embedding.length} numbers`);
  },
});
