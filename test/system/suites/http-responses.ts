import { zodTextFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CHAT, type HttpAgent, PROMPT, TOKENS } from '../support/http-agent.js';

/** What clients of the OpenAI API rely on, whatever answers behind it. */
export function httpResponsesSuite(start: () => Promise<HttpAgent>): void {
  let http: HttpAgent;
  beforeAll(async () => {
    http = await start();
  });
  afterAll(() => http?.[Symbol.asyncDispose]());

  const request = { model: CHAT, temperature: 0, max_output_tokens: 12, input: PROMPT };
  const tool = {
    type: 'function' as const,
    name: 'find_child',
    description: null,
    strict: true,
    parameters: {
      type: 'object',
      properties: { name: { enum: ['Lily', 'Tim'] } },
      required: ['name'],
      additionalProperties: false,
    },
  };

  describe('responses', () => {
    it('answer a text, whole and streamed', async () => {
      const text = await http.expected(12, `${PROMPT} `);
      const whole = await http.openai.responses.create(request);
      expect(whole.output_text).toBe(text);
      expect(whole).toMatchObject({
        object: 'response',
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
        usage: { output_tokens: 12, total_tokens: whole.usage!.input_tokens + 12 },
        store: false,
      });
      const types: string[] = [];
      const stream = http.openai.responses.stream(request);
      stream.on('event', (event) => types.push(event.type));
      const streamed = await stream.finalResponse();
      expect(streamed.output_text).toBe(text);
      expect(types.filter((type, i) => type !== types[i - 1])).toEqual([
        'response.created',
        'response.in_progress',
        'response.output_item.added',
        'response.content_part.added',
        'response.output_text.delta',
        'response.output_text.done',
        'response.content_part.done',
        'response.output_item.done',
        'response.incomplete',
      ]);
    });

    it('call functions and take their results back', async () => {
      const forced = { ...request, max_output_tokens: 120, tools: [tool], tool_choice: 'required' as const };
      const first = await http.openai.responses.create(forced);
      expect(first.status).toBe('completed');
      const [call] = first.output;
      if (call.type !== 'function_call') throw new Error(`a call, not ${call.type}`);
      expect(call.name).toBe('find_child');
      expect(['Lily', 'Tim']).toContain(JSON.parse(call.arguments).name);
      expect(first.status).toBe('completed');

      const deltas: string[] = [];
      const stream = http.openai.responses.stream(forced);
      stream.on('response.function_call_arguments.delta', ({ delta }) => deltas.push(delta));
      const streamed = await stream.finalResponse();
      expect(deltas.join('')).toBe(call.arguments);
      expect(streamed.output[0]).toMatchObject({ type: 'function_call', arguments: call.arguments });

      const second = await http.openai.responses.create({
        ...request,
        instructions: 'Tell a story.',
        tools: [tool],
        input: [
          { role: 'user', content: [{ type: 'input_text', text: PROMPT }] },
          call,
          { type: 'function_call_output', call_id: call.call_id, output: 'She is in the garden.' },
        ],
      });
      expect(second.output_text).toMatch(/\w/);
      expect(second.usage!.input_tokens).toBeGreaterThan(first.usage!.input_tokens);
    });

    it('have the form that text.format asks for', async () => {
      const type = z.object({ kind: z.enum(['wolf', 'bear']), age: z.int().min(1).max(9) });
      const parsed = await http.openai.responses.parse({
        ...request,
        max_output_tokens: 80,
        text: { format: zodTextFormat(type, 'animal') },
      });
      expect(type.safeParse(parsed.output_parsed).success).toBe(true);
    });

    it('follow what servers say elsewhere, and repeat what was asked', async () => {
      const post = async (more: object) => {
        const answer = await fetch(`${http.url}/v1/responses`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` },
          body: JSON.stringify({ ...request, max_output_tokens: undefined, ...more }),
        });
        return (await answer.json()) as Record<string, unknown> & {
          output: { content: { text: string }[] }[];
        };
      };
      for (const name of ['max_tokens', 'max_completion_tokens', 'n_predict'])
        expect(await post({ [name]: 3 })).toMatchObject({
          usage: { output_tokens: 3 },
          max_output_tokens: 3,
        });
      const schema = { enum: ['wolf'] };
      for (const form of [
        { json_schema: schema },
        { response_format: { type: 'json_schema', json_schema: { schema } } },
      ]) {
        const { output } = await post({ ...form, max_output_tokens: 20 });
        expect(JSON.parse(output[0].content[0].text)).toBe('wolf');
      }
      const repeated = await post({
        max_output_tokens: 1,
        temperature: null,
        instructions: null,
        reasoning: { effort: 'low', summary: 'auto' },
        include: ['reasoning.encrypted_content'],
        metadata: { a: 'b' },
        service_tier: 'flex',
        truncation: 'disabled',
        previous_response_id: null,
      });
      expect(repeated).toMatchObject({
        temperature: 1,
        instructions: null,
        reasoning: { effort: 'low' },
        metadata: { a: 'b' },
        service_tier: 'flex',
      });
    });

    it.each([
      [{ store: true }, 'store'],
      [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
      [{ background: true }, 'background'],
      [{ conversation: 'conv_1' }, 'conversation'],
      [{ include: ['message.output_text.logprobs'] }, 'include.0'],
      [{ top_logprobs: 2 }, 'top_logprobs'],
      [{ truncation: 'auto' }, 'truncation'],
      [{ prompt: { id: 'pmpt_1' } }, 'prompt'],
      [{ n: 2 }, 'n'],
      [{ reasoning: { effort: 'much' } }, 'reasoning.effort'],
      [{ text: { verbosity: 'low' } }, 'text.verbosity'],
      [{ text: { format: { type: 'grammar' } } }, 'text.format.type'],
      [{ text: { format: { type: 'json_schema', json_schema: {} } } }, 'text.format.schema'],
      [
        { text: { format: { type: 'json_object' } }, response_format: { type: 'json_object' } },
        'response_format',
      ],
      [{ tools: [{ type: 'mcp', server_label: 'x' }] }, 'tools.0.type'],
      [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools.0.name'],
      [{ tool_choice: { type: 'web_search' } }, 'tool_choice.type'],
      [
        { input: [{ type: 'function_call_output', call_id: 'a', output: [{ type: 'input_image' }] }] },
        'input.0.output.0.type',
      ],
      [{ input: [{ type: 'function_call', call_id: 'a', name: 'f' }] }, 'input.0.arguments'],
      [{ input: [{ type: 'computer_call', id: 'x' }] }, 'input.0.type'],
      [{ input: [] }, 'input'],
      [{ input: null }, 'input'],
      [{ tools: [{ type: 'web_search' }] }, 'tools.0.type'],
      [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input.0.type'],
      [
        { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
        'input.0.content.0.type',
      ],
    ])('refuse by name what has no meaning here: %j', async (more, param) => {
      const answer = await fetch(`${http.url}/v1/responses`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` },
        body: JSON.stringify({ ...request, ...more }),
      });
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ error: { param } });
    });
  });
}
