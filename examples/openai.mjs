// The official OpenAI client against a board: start `npx pynq-llm serve --model MODEL.gguf --port 8080`, or an agent.
// node examples/openai.mjs [BASE URL]
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: process.argv[2] ?? 'http://127.0.0.1:8080/v1',
  // What the server was started with; without one any will do.
  apiKey: process.env.OPENAI_API_KEY ?? 'none',
});
const [model] = (await client.models.list()).data;
if (model === undefined) throw new Error('The board has no model yet: pynq-llm models upload MODEL.gguf');
const stream = await client.completions.create({
  model: model.id,
  prompt: 'Once upon a time',
  max_tokens: 40,
  temperature: 0,
  stream: true,
});
console.log(`model ${model.id}`);
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.text ?? '');
console.log();
