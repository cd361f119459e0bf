import { describe, expect, it } from 'vitest';
import { nothing } from '../../../../http-api/answering.js';
import type { CallDelta, Piece } from '../../../../http-api/piece.js';
import { withCalls } from '../../../../http-api/tools/call-pieces.js';
import { readCalls } from '../../../../http-api/tools/call-reader.js';
import { toolRequestOf } from '../../../../http-api/tools/tool-request.js';

const NAMES = new Set(['find_mouse', 'hoot']);
const call = (name: string, given: string) => ({ name, arguments: given, isWhole: true });
const NORTH = call('find_mouse', '{"field": "north}]"}');
const HOOT = call('hoot', '{}');

describe('calls in an answer', () => {
  it.each([
    [
      'Qwen and Hermes',
      '<tool_call>\n{"name": "find_mouse", "arguments": {"field": "north}]"}}\n</tool_call>',
      [NORTH],
    ],
    [
      'several of them',
      '<tool_call>{"name": "find_mouse", "arguments": {"field": "north}]"}}</tool_call>\n<tool_call>{"name":"hoot","arguments":{}}</tool_call>',
      [NORTH, HOOT],
    ],
    [
      'Mistral, its mark left out',
      ' [{"name": "find_mouse", "arguments": {"field": "north}]"}}, {"name": "hoot", "arguments": {}, "id": "abc"}]',
      [NORTH, HOOT],
    ],
    ['Mistral', '[TOOL_CALLS] [{"name": "hoot", "arguments": {}}]', [HOOT]],
    ['Llama 3', '{"name": "find_mouse", "parameters": {"field": "north}]"}}', [NORTH]],
    ['several of Llama 3', '{"name":"hoot","parameters":{}}; {"name":"hoot","parameters":{}}', [HOOT, HOOT]],
    [
      'a type beside the name',
      '<|python_tag|>{"type": "function", "name": "hoot", "parameters": {}}',
      [HOOT],
    ],
    ['the general form', '{"tool_calls": [{"name": "hoot", "arguments": {}}]}', [HOOT]],
    [
      'arguments written as a text',
      '{"name": "hoot", "arguments": "{\\"a\\": 1}"}',
      [call('hoot', '{"a": 1}')],
    ],
    ['no arguments', '{"name": "hoot"}', [HOOT]],
    ['arguments of null', '{"name": "hoot", "arguments": null}', [HOOT]],
  ])('of %s', (_, text, calls) => {
    expect(readCalls(text, NAMES, true)).toEqual({ content: '', calls });
  });

  it('have what is said before them as content', () => {
    const text = 'Let me look.\n\n<tool_call>{"name":"hoot","arguments":{}}</tool_call>';
    expect(readCalls(text, NAMES, true)).toEqual({ content: 'Let me look.', calls: [HOOT] });
  });

  it.each([
    'An owl says {"name": "hoot", "arguments": {}}',
    '{"name": "fly", "arguments": {}}',
    '{"colour": "brown"}',
    '{"name": "An owl", "age": 3}',
    '[1, 2]',
    '{not JSON',
    'a < b and [c]',
    '<tool_call>hm</tool_call>',
    '<tool_call>',
    '{',
    '',
    ' indented ',
  ])('are not what only looks like them: %s', (text) => {
    expect(readCalls(text, NAMES, true)).toEqual({ content: text, calls: [] });
  });

  it('that begin an answer leave what follows them to be said', () => {
    expect(readCalls('[{"name":"hoot","arguments":{}}, "x"] is a call', NAMES, true)).toEqual({
      content: 'is a call',
      calls: [HOOT],
    });
  });

  it('are not looked for in lists of lists, nor after many marks without one', () => {
    const deep = '['.repeat(100_000);
    expect(readCalls(deep, NAMES, true)).toEqual({ content: deep, calls: [] });
    const marks = '<tool_call>'.repeat(4_000);
    const start = performance.now();
    for (let read = 0; read < 100; read++) readCalls(marks, NAMES, true);
    // 15 s where each mark is tried.
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it('that are cut off keep what has come', () => {
    const text = '{"name": "find_mouse", "arguments": {"fie';
    expect(readCalls(text, NAMES, true).calls).toEqual([
      { name: 'find_mouse', arguments: '{"fie', isWhole: false },
    ]);
  });
});

const function_ = (name: string, strict = false) => ({
  type: 'function' as const,
  function: { name, strict, parameters: { type: 'object' } },
});

async function* characters(text: string, size: number): AsyncGenerator<Piece, void, void> {
  for (let at = 0; at < text.length; at += size)
    yield { text: text.slice(at, at + size), tokens: [], finish: undefined };
  yield { text: '', tokens: [], finish: FINISH };
}
const FINISH = { ...(await nothing(1).done), reason: 'end-of-text' as const };

async function streamed(text: string, size: number, tools = [function_('find_mouse'), function_('hoot')]) {
  let content = '';
  const calls: { name: string; arguments: string; id: string }[] = [];
  const request = toolRequestOf({ tools });
  const restart = (name: string) => characters(`{"name": "${name}", "arguments": {"strictly": true}}`, size);
  for await (const piece of withCalls(characters(text, size), request, restart)) {
    content += piece.text;
    for (const { index, id, name, arguments: given } of (piece.calls ?? []) as CallDelta[]) {
      if (id !== undefined && name !== undefined) calls[index] = { id, name, arguments: '' };
      calls[index].arguments += given;
    }
  }
  return { content, calls };
}

describe('a streamed answer', () => {
  const texts = [
    'Let me look. <tool_call>{"name": "find_mouse", "arguments": {"field": "north}]"}}</tool_call>',
    '[TOOL_CALLS] [{"name": "find_mouse", "arguments": {"a": [1, 2]}}, {"name": "hoot", "arguments": {}}]',
    '{"name": "hoot", "parameters": {"a": "\\"}"}}',
    'Only text, a < b, [c] and {d}.  ',
    '{"colour": "brown"}',
    '<tool_call>{"name": "fly", "arguments": {}}</tool_call>',
  ];
  it.each(texts)('says and calls the same whatever its pieces: %s', async (text) => {
    const whole = readCalls(text, NAMES, true);
    for (const size of [1, 2, 3, 5, 7, 1000]) {
      const { content, calls } = await streamed(text, size);
      expect(content, `pieces of ${size}`).toBe(whole.content);
      expect(calls.map(({ name, arguments: given }) => ({ name, arguments: given, isWhole: true }))).toEqual(
        whole.calls,
      );
      expect(calls.every(({ id }) => /^[a-z0-9]{9}$/.test(id))).toBe(true);
    }
  });

  it('begins again, held to the schema, where a strict function is called', async () => {
    const { content, calls } = await streamed('I look. <tool_call>{"name": "hoot", "argu', 3, [
      function_('hoot', true),
    ]);
    expect(content).toBe('I look.');
    expect(calls).toMatchObject([{ name: 'hoot', arguments: '{"strictly": true}' }]);
  });
});

describe('what a request says of functions', () => {
  it('names what has to be called', () => {
    const tools = [function_('find_mouse'), function_('hoot')];
    expect(toolRequestOf({ tools, tool_choice: 'none' })).toMatchObject({ text: undefined, functions: [] });
    expect(toolRequestOf({ tools }).forced).toBeUndefined();
    expect(toolRequestOf({ tools, tool_choice: 'required' }).forced).toMatchObject({
      schema: {
        anyOf: [
          { properties: { name: { const: 'find_mouse' } } },
          { properties: { name: { const: 'hoot' } } },
        ],
      },
    });
    const named = { type: 'function' as const, function: { name: 'hoot' } };
    expect(toolRequestOf({ tools, tool_choice: named }).forced).toMatchObject({
      schema: { properties: { name: { const: 'hoot' } } },
    });
  });

  it('is refused where nothing can be called', () => {
    expect(() => toolRequestOf({ tool_choice: 'required' })).toThrow(/A function has to be called/);
    const named = { type: 'function' as const, function: { name: 'fly' } };
    expect(() => toolRequestOf({ tools: [function_('hoot')], tool_choice: named })).toThrow(
      /"fly" has to be/,
    );
  });
});
