// LangChain's OpenAI chat model against a server: node langchain.mjs BASE_URL MODEL. Prints what it got as JSON.
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAI } from '@langchain/openai';
import { z } from 'zod';

const [, , baseURL, model] = process.argv;
const settings = { model, apiKey: 'none', maxRetries: 0, temperature: 0, configuration: { baseURL } };
const short = new ChatOpenAI({ ...settings, maxTokens: 12 });
const long = new ChatOpenAI({ ...settings, maxTokens: 120 });
const responses = new ChatOpenAI({ ...settings, maxTokens: 120, useResponsesApi: true });
const prompt = 'Once upon a time';
const Animal = z.object({ kind: z.enum(['wolf', 'bear']), age: z.int().min(1).max(9) });
const findChild = tool(async ({ name }) => `${name} is in the garden.`, {
  name: 'find_child',
  description: 'Finds a child',
  schema: z.object({ name: z.enum(['Lily', 'Tim']) }),
});
const found = {};

found.text = (await short.invoke(prompt)).content;
const whole = await short.invoke([new SystemMessage('Tell a story.'), new HumanMessage(prompt)]);
found.metadata = { usage: whole.usage_metadata, reason: whole.response_metadata.finish_reason };
found.streamed = '';
for await (const chunk of await short.stream(prompt)) {
  found.streamed += chunk.content;
  if (chunk.usage_metadata) found.streamedUsage = chunk.usage_metadata;
}
found.batch = (await short.batch([prompt, 'The dog'])).map(({ content }) => content);
found.completion = await new OpenAI({ ...settings, maxTokens: 12 }).invoke(prompt);

found.structured = {};
for (const method of ['jsonSchema', 'functionCalling']) {
  const structured = long.withStructuredOutput(Animal, { method, name: 'animal' });
  found.structured[method] = await structured.invoke(prompt);
  for await (const part of await structured.stream(prompt)) found.structured[`${method}Streamed`] = part;
}
found.structured.responses = await responses.withStructuredOutput(Animal, { name: 'animal' }).invoke(prompt);

found.calls = {};
for (const choice of ['find_child', 'required', 'any']) {
  const answer = await long.bindTools([findChild], { tool_choice: choice }).invoke(prompt);
  found.calls[choice] = answer.tool_calls;
}
const strict = long.bindTools([findChild], { tool_choice: 'required', strict: true });
let streamed;
for await (const chunk of await strict.stream(prompt)) streamed = streamed ? streamed.concat(chunk) : chunk;
found.callsStreamed = streamed.tool_calls;
found.callsOfResponses = (
  await responses.bindTools([findChild], { tool_choice: 'find_child' }).invoke(prompt)
).tool_calls;

const [call] = found.calls.find_child;
const result = await findChild.invoke(call);
found.result = result instanceof ToolMessage && result.content;
const after = await short
  .bindTools([findChild])
  .invoke([new HumanMessage(prompt), new AIMessage({ content: '', tool_calls: [call] }), result]);
found.afterCall = after.content;
const responsesAfter = await responses
  .bindTools([findChild])
  .invoke([new HumanMessage(prompt), new AIMessage({ content: '', tool_calls: [call] }), result]);
found.responsesAfterCall = responsesAfter.text;
found.responsesStreamed = '';
for await (const chunk of await responses.stream(prompt)) found.responsesStreamed += chunk.text;
found.responsesText = (await responses.invoke(prompt)).text;

console.log(JSON.stringify(found));
