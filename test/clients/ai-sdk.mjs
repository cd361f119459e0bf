// Vercel's AI SDK against a server, with its OpenAI provider and the one for compatible servers:
// node ai-sdk.mjs BASE_URL MODEL. Prints what it got as JSON.
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import * as ai from 'ai';
import { z } from 'zod';

const { generateObject, generateText, Output, streamObject, streamText, tool } = ai;
// Version 7 has another name for it.
const stepCountIs = ai.stepCountIs ?? ai.isStepCount;
const [, , baseURL, name] = process.argv;
const openai = createOpenAI({ baseURL, apiKey: 'none' });
const compatible = createOpenAICompatible({ name: 'pynq-llm', baseURL, includeUsage: true });
const structured = createOpenAICompatible({ name: 'pynq-llm', baseURL, supportsStructuredOutputs: true });
const models = {
  responses: openai(name),
  chat: openai.chat(name),
  completion: openai.completion(name),
  compatible: compatible(name),
  structured: structured(name),
};
const prompt = 'Once upon a time';
const settings = { prompt, temperature: 0, maxRetries: 0 };
const schema = z.object({ kind: z.enum(['wolf', 'bear']), age: z.int().min(1).max(9) });
const found = {};

for (const [kind, model] of Object.entries(models)) {
  const got = {};
  found[kind] = got;
  const short = { ...settings, model, maxOutputTokens: 12 };
  const whole = await generateText(short);
  Object.assign(got, { text: whole.text, usage: whole.usage, reason: whole.finishReason });
  const streamed = streamText(short);
  got.streamed = '';
  for await (const piece of streamed.textStream) got.streamed += piece;
  got.streamedReason = await streamed.finishReason;
  got.streamedUsage = await streamed.usage;
  if (kind === 'completion') continue;

  const long = { ...settings, model, maxOutputTokens: 150 };
  // The compatible provider sends no schema unless it is told that the server knows schemas.
  if (kind !== 'compatible') {
    got.object = (await generateObject({ ...long, schema })).object;
    const parts = streamObject({ ...long, schema });
    for await (const part of parts.partialObjectStream) got.lastPart = part;
    got.streamedObject = await parts.object;
    got.output = (await generateText({ ...long, output: Output.object({ schema }) })).output;
    got.choice = (
      await generateObject({ ...long, output: 'enum', enum: ['wolf', 'bear'], system: 'Answer.' })
    ).object;
  }

  const asked = [];
  const tools = {
    findChild: tool({
      description: 'Finds a child',
      inputSchema: z.object({ name: z.enum(['Lily', 'Tim']) }),
      execute: async ({ name: child }) => {
        asked.push(child);
        return { child, place: 'garden' };
      },
    }),
  };
  const loop = {
    ...long,
    tools,
    stopWhen: stepCountIs(2),
    prepareStep: ({ stepNumber }) => ({
      toolChoice: stepNumber === 0 ? { type: 'tool', toolName: 'findChild' } : 'none',
    }),
  };
  const looped = await generateText(loop);
  got.steps = looped.steps.map(({ finishReason, toolCalls, toolResults, text }) => ({
    finishReason,
    calls: toolCalls.map(({ toolName, input }) => ({ toolName, input })),
    results: toolResults.map(({ output }) => output),
    text,
  }));
  const loopedStream = streamText({
    ...loop,
    prepareStep: undefined,
    toolChoice: 'required',
    stopWhen: stepCountIs(1),
  });
  got.parts = [];
  for await (const { type, error } of loopedStream.fullStream) got.parts.push(error ? String(error) : type);
  got.streamedCalls = (await loopedStream.toolCalls).map(({ toolName, input }) => ({ toolName, input }));
  got.asked = asked;
}

console.log(JSON.stringify(found));
