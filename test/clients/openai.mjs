// The official OpenAI client against a server: node openai.mjs BASE_URL MODEL. Prints what it got as JSON.
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const [, , baseURL, model] = process.argv;
const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
const messages = [{ role: 'user', content: 'Once upon a time' }];
const greedy = { model, temperature: 0 };
const chat = { ...greedy, messages, max_completion_tokens: 12 };
const Animal = z.object({ kind: z.enum(['wolf', 'bear']), age: z.int().min(1).max(9) });
const parameters = {
  type: 'object',
  properties: { name: { type: 'string', enum: ['Lily', 'Tim'] } },
  required: ['name'],
  additionalProperties: false,
};
const tool = {
  type: 'function',
  function: { name: 'find_child', description: 'Finds', parameters, strict: true },
};
const found = {};

found.models = (await client.models.list()).data.map(({ id }) => id);

found.completion = (
  await client.completions.create({ ...greedy, prompt: 'Once upon a time', max_tokens: 12 })
).choices[0].text;
found.completionStreamed = '';
const pieces = await client.completions.create({
  ...greedy,
  prompt: 'Once upon a time',
  max_tokens: 12,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const { choices, usage } of pieces) {
  found.completionStreamed += choices[0]?.text ?? '';
  if (usage) found.completionUsage = usage;
}

found.chat = await client.chat.completions.create(chat);
const chatStream = client.chat.completions.stream({ ...chat, stream_options: { include_usage: true } });
found.chatStreamed = await chatStream.finalChatCompletion();
found.parsed = (
  await client.chat.completions.parse({
    ...chat,
    max_completion_tokens: 80,
    response_format: zodResponseFormat(Animal, 'animal'),
  })
).choices[0].message.parsed;

const called = { ...chat, max_completion_tokens: 120, tools: [tool] };
found.named = await client.chat.completions.create({
  ...called,
  tool_choice: { type: 'function', function: { name: 'find_child' } },
});
const callStream = client.chat.completions.stream({ ...called, tool_choice: 'required' });
found.required = await callStream.finalChatCompletion();
const [{ message }] = found.named.choices;
found.afterCall = await client.chat.completions.create({
  ...called,
  max_completion_tokens: 12,
  messages: [
    { role: 'developer', content: 'Tell a story.' },
    ...messages,
    message,
    {
      role: 'tool',
      tool_call_id: message.tool_calls[0].id,
      content: [{ type: 'text', text: 'In the garden.' }],
    },
  ],
});
// The client's own loop: it calls the function and sends the result until there is a text.
const asked = [];
const runner = client.chat.completions.runTools({
  ...chat,
  max_completion_tokens: 120,
  tool_choice: { type: 'function', function: { name: 'find_child' } },
  tools: [
    {
      type: 'function',
      function: {
        name: 'find_child',
        description: 'Finds',
        parameters,
        parse: JSON.parse,
        function: ({ name }) => {
          asked.push(name);
          return 'In the garden.';
        },
      },
    },
  ],
});
await runner.done();
found.ran = asked;

const input = 'Once upon a time';
const respond = { ...greedy, input, max_output_tokens: 12 };
found.response = await client.responses.create(respond);
found.responseStreamed = await client.responses.stream(respond).finalResponse();
found.responseParsed = (
  await client.responses.parse({
    ...respond,
    max_output_tokens: 80,
    text: { format: zodTextFormat(Animal, 'animal') },
  })
).output_parsed;
const functionTool = { type: 'function', name: 'find_child', description: null, parameters, strict: true };
found.responseCall = await client.responses.create({
  ...respond,
  max_output_tokens: 120,
  tools: [functionTool],
  tool_choice: { type: 'function', name: 'find_child' },
});
const events = [];
const responseCallStream = client.responses.stream({
  ...respond,
  max_output_tokens: 120,
  tools: [functionTool],
  tool_choice: 'required',
});
responseCallStream.on('event', ({ type }) => events.push(type));
found.responseCallStreamed = await responseCallStream.finalResponse();
found.responseEvents = [...new Set(events)];
found.afterResponseCall = await client.responses.create({
  ...respond,
  instructions: 'Tell a story.',
  tools: [functionTool],
  input: [
    { role: 'user', content: [{ type: 'input_text', text: input }] },
    ...found.responseCall.output,
    { type: 'function_call_output', call_id: found.responseCall.output[0].call_id, output: 'In the garden.' },
  ],
});

const failure = await client.chat.completions
  .create({
    ...chat,
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }],
  })
  .catch((error) => error);
found.refused = { name: failure.constructor.name, status: failure.status, param: failure.param };

console.log(JSON.stringify(found));
