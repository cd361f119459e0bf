import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../sdk/index.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { modelWithChatTemplate } from '../system/support/chat-model.js';
import { type AgentProcess, cliServer } from '../system/support/cli.js';
import { lacking } from '../system/support/required-packages.js';

const MODEL = 'chat.gguf';
const PROMPT = 'Once upon a time';
const TEMPLATE = '{% for message in messages %}{{ message.content }} {% endfor %}';
const ANIMAL = {
  kind: expect.stringMatching(/^(wolf|bear)$/),
  age: expect.toBeOneOf([1, 2, 3, 4, 5, 6, 7, 8, 9]),
};
const CHILD = { name: expect.stringMatching(/^(Lily|Tim)$/) };
const NODE_22 = Number(process.versions.node.split('.')[0]) >= 22;

const home = temporaryDirectory();
let server: AgentProcess;
/** What the SDK generates greedily of the model's turn. */
let expected: string;
beforeAll(async () => {
  const file = join(home.path, MODEL);
  writeFileSync(file, modelWithChatTemplate(TEMPLATE));
  server = await cliServer(['serve', '--device', 'mock:', '--port', '0', '-m', file], { home: home.path });
  await using board = await connect('mock:', { storeDir: home.path });
  const model = await board.models.load(MODEL);
  expected = await model.generate(`${PROMPT} `, { maxTokens: 12, temperature: 0 }).text();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

/** Why the clients of a folder cannot run. */
function whyNot(folder: string, needsNode22: boolean): string | undefined {
  if (needsNode22 && !NODE_22) return `they need Node 22, and this is ${process.version}`;
  if (existsSync(`${folder}/node_modules`)) return undefined;
  return lacking(`${folder} is not installed: npm ci --prefix ${folder}`);
}

describe.each([
  { folder: 'test/clients', needsNode22: false },
  { folder: 'test/clients/newest', needsNode22: true },
])('programs with the clients of $folder', ({ folder, needsNode22 }) => {
  const missing = whyNot(folder, needsNode22);

  /** What a program prints that runs with the packages of the folder. */
  async function run(program: string) {
    using place = temporaryDirectory();
    symlinkSync(resolve(folder, 'node_modules'), join(place.path, 'node_modules'));
    copyFileSync(`test/clients/${program}`, join(place.path, program));
    const args = [join(place.path, program), server.url, MODEL];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      env: { PATH: process.env.PATH, HOME: home.path },
      timeout: 110_000,
      maxBuffer: 16 * 1024 * 1024,
    });
    return JSON.parse(stdout);
  }

  it('openai: completions, chats, responses, functions, streamed and not', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const found = await run('openai.mjs');
    expect(found.models).toEqual([MODEL]);
    expect(found.completion).toMatch(/\w/);
    expect(found.completionStreamed).toBe(found.completion);
    expect(found.completionUsage).toMatchObject({ completion_tokens: 12 });
    expect(found.chat.choices[0]).toMatchObject({ message: { content: expected }, finish_reason: 'length' });
    expect(found.chatStreamed.choices[0].message.content).toBe(expected);
    expect(found.chatStreamed.usage).toEqual(found.chat.usage);
    expect(found.parsed).toEqual(ANIMAL);
    for (const { choices } of [found.named, found.required]) {
      const [{ message, finish_reason: reason }] = choices;
      expect([reason, message.content]).toEqual(['tool_calls', null]);
      expect(JSON.parse(message.tool_calls[0].function.arguments)).toEqual(CHILD);
    }
    expect(found.afterCall.choices[0].message.content).toMatch(/\w/);
    expect(found.ran).toEqual([expect.stringMatching(/^(Lily|Tim)$/)]);
    expect([found.response.output_text, found.response.status]).toEqual([expected, 'incomplete']);
    expect(found.responseStreamed.output_text).toBe(expected);
    expect(found.responseParsed).toEqual(ANIMAL);
    for (const { output } of [found.responseCall, found.responseCallStreamed]) {
      expect(output).toMatchObject([{ type: 'function_call', name: 'find_child', status: 'completed' }]);
      expect(JSON.parse(output[0].arguments)).toEqual(CHILD);
    }
    expect(found.responseEvents).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(found.afterResponseCall.output_text).toMatch(/\w/);
    expect(found.refused).toEqual({
      name: 'BadRequestError',
      status: 400,
      param: 'messages.0.content.0.type',
    });
  });

  it('LangChain: bindTools, withStructuredOutput and streams', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const found = await run('langchain.mjs');
    expect([found.text, found.streamed, found.batch[0]]).toEqual([expected, expected, expected]);
    expect(found.batch).toHaveLength(2);
    expect(found.metadata).toMatchObject({ usage: { output_tokens: 12 }, reason: 'length' });
    expect(found.streamedUsage).toMatchObject({ output_tokens: 12 });
    expect(found.completion).toMatch(/\w/);
    expect(found.structured).toEqual({
      jsonSchema: ANIMAL,
      jsonSchemaStreamed: ANIMAL,
      functionCalling: ANIMAL,
      functionCallingStreamed: ANIMAL,
      responses: ANIMAL,
    });
    const call = { name: 'find_child', args: CHILD, type: 'tool_call', id: expect.any(String) };
    expect(found.calls).toEqual({ find_child: [call], required: [call], any: [call] });
    expect([found.callsStreamed, found.callsOfResponses]).toEqual([[call], [call]]);
    expect(found.result).toMatch(/^(Lily|Tim) is in the garden\.$/);
    expect([found.afterCall, found.responsesAfterCall]).toEqual([
      expect.stringMatching(/\w/),
      expect.stringMatching(/\w/),
    ]);
    expect(found.responsesText).toContain(expected);
    expect(found.responsesStreamed).toBe(found.responsesText);
  });

  it('AI SDK: text, objects, functions in a loop, with each of its providers', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const found = await run('ai-sdk.mjs');
    const kinds = ['responses', 'chat', 'completion', 'compatible', 'structured'];
    expect(Object.keys(found)).toEqual(kinds);
    for (const kind of kinds) {
      const got = found[kind];
      // A completion's prompt is of the SDK's own making.
      expect(got.text).toEqual(kind === 'completion' ? expect.stringMatching(/\w/) : expected);
      expect(got.streamed).toBe(got.text);
      expect([got.reason, got.streamedReason]).toEqual(['length', 'length']);
      expect(got.usage.outputTokens).toBe(12);
      // Only who asks for the usage of a stream gets it.
      if (kind !== 'structured') expect(got.streamedUsage.totalTokens).toBe(got.usage.totalTokens);
      if (kind === 'completion') continue;
      if (kind !== 'compatible') {
        for (const object of [got.object, got.lastPart, got.streamedObject, got.output])
          expect(object).toEqual(ANIMAL);
        expect(got.choice).toMatch(/^(wolf|bear)$/);
      }
      const call = { toolName: 'findChild', input: CHILD };
      expect(got.steps).toEqual([
        {
          finishReason: 'tool-calls',
          calls: [call],
          results: [{ child: expect.any(String), place: 'garden' }],
          text: '',
        },
        { finishReason: expect.any(String), calls: [], results: [], text: expect.stringMatching(/\w/) },
      ]);
      expect(got.streamedCalls).toEqual([call]);
      expect(got.parts.filter((part: string, i: number) => part !== got.parts[i - 1])).toEqual([
        'start',
        'start-step',
        'tool-input-start',
        'tool-input-delta',
        'tool-input-end',
        'tool-call',
        'tool-result',
        'finish-step',
        'finish',
      ]);
      expect(got.asked).toHaveLength(2);
    }
  });
});
