// What a client's program shares; see ../python/report.py.

export const URL = process.env.APPLIANCE_URL;
export const REAL_URL = process.env.APPLIANCE_REAL_URL;
export const FAKE = "fake";
export const REAL = process.env.APPLIANCE_REAL_MODEL;
export const KEY = "none";

export const CHAT = "Chat Completions";
export const RESPONSES = "Responses";
export const ANTHROPIC = "Anthropic Messages";
export const OLLAMA = "Ollama";
export const EMBEDDINGS = "Embeddings";

export const HELLO = "echo:Hello there";
export const ANSWER = "It is sunny.";
export const WHO = "Who wrote the first program?";
export const CALL = `echo:<tool_call>\n${JSON.stringify({
  name: "get_weather",
  arguments: { city: "Oslo" },
})}\n</tool_call>\x03`;

export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string", description: "The name of the city." } },
  required: ["city"],
  additionalProperties: false,
};
export const PERSON = {
  type: "object",
  properties: {
    name: { enum: ["Ada", "Grace"] },
    age: { type: "integer", minimum: 0, maximum: 150 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};

/** The tool; what it returns makes the model answer with `ANSWER`. */
export const weather = ({ city }) => {
  if (city !== "Oslo") throw new Error(city);
  return `echo:${ANSWER}\x03`;
};

/** Throws unless two values are the same as JSON. */
export const equal = (found, expected) => {
  const [a, b] = [found, expected].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${a} instead of ${b}`);
};

/** The text of a stream of pieces. */
export const joined = async (pieces, text) => {
  let all = "";
  for await (const piece of pieces) all += text(piece) ?? "";
  return all;
};

/** Throws unless a text is JSON of `PERSON`. */
export const isPerson = (value) => {
  const { name, age } = typeof value === "string" ? JSON.parse(value) : value;
  if (!PERSON.properties.name.enum.includes(name) || !Number.isInteger(age))
    throw new Error(`${name}, ${age}`);
};

/** Tries functions by name and prints what happened. */
export const report = async (api, tries) => {
  const found = {};
  for (const [name, tried] of Object.entries(tries)) {
    try {
      await tried();
      found[name] = "";
    } catch (error) {
      found[name] = String(error?.stack ?? error).slice(0, 3000) || "an error without words";
    }
  }
  console.log(JSON.stringify({ api, tried: found }));
};
