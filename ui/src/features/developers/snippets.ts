/** How programs are pointed at this server, as text to copy. */

export interface Target {
  /** The server's address, without a slash at its end. */
  url: string;
  model: string;
  /** A placeholder: a key is shown once, when it is made. */
  key: string;
}

interface Snippet {
  /** What it is called on its tab; a name of a program or language, the same in every language. */
  name: string;
  text: (target: Target) => string;
}

const question = "Why is the sky blue?";

/** In the order of their tabs. */
export const snippets: readonly Snippet[] = [
  {
    name: "curl",
    text: ({ url, model, key }) => `curl ${url}/v1/chat/completions \\
  -H "Authorization: Bearer ${key}" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "${question}"}]}'`,
  },
  {
    name: "Python",
    text: ({ url, model, key }) => `from openai import OpenAI

client = OpenAI(base_url="${url}/v1", api_key="${key}")
stream = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "${question}"}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  },
  {
    name: "JavaScript",
    text: ({ url, model, key }) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "${key}" });
const stream = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "${question}" }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}`,
  },
  {
    name: "Claude Code",
    text: ({ url, model, key }) => `export ANTHROPIC_BASE_URL=${url}
export ANTHROPIC_AUTH_TOKEN=${key}
export ANTHROPIC_MODEL=${model}
export ANTHROPIC_DEFAULT_HAIKU_MODEL=${model}
export ANTHROPIC_SMALL_FAST_MODEL=${model}
claude`,
  },
  {
    name: "codex",
    text: ({ url, model, key }) => `# ~/.codex/config.toml
model = "${model}"
model_provider = "appliance"

[model_providers.appliance]
name = "appliance"
base_url = "${url}/v1"
wire_api = "responses"
http_headers = { Authorization = "Bearer ${key}" }`,
  },
  {
    name: "Ollama",
    text: ({ url, model, key }) => `# For programs that ask for the address of Ollama
export OLLAMA_HOST=${url}
export OLLAMA_API_KEY=${key}

curl ${url}/api/chat \\
  -H "Authorization: Bearer ${key}" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "${question}"}]}'`,
  },
];
