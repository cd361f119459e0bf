import { createHash, randomBytes } from 'node:crypto';
import { isPynqLlmError } from '../../errors/index.js';
import {
  type BoardInfo,
  type FleetBoardReport,
  fleetBoardReport,
  type GenerateEvent,
  type SamplingOptions,
  type TokenEvent,
} from '../../protocol/index.js';
import type { AgentLink } from '../member/agent-link.js';
import { type BoardModel, generates } from '../messages.js';

/** What a board says of itself. */
export type SelfCheck = Omit<FleetBoardReport, 'name' | 'roundTripsMs'>;
export const selfCheck = fleetBoardReport.omit({ name: true, roundTripsMs: true });

/** More than a page of keys and values in any vocabulary: only whole pages are kept as the board was told to. */
const PROMPT =
  'Once upon a time there was a little dog who lived in a big house near the sea with his best friend.';
/** Draws from all tokens: the random numbers, and with them every bit of the logits, decide. */
const SAMPLING: SamplingOptions = {
  maxTokens: 8,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 20_260_504,
  ignoreEos: true,
  topLogprobs: 4,
};
/** On a slow board that is busy. */
const GENERATE_MS = 240_000;

/** Has the board's agent say what it is, and generate a little with each model that it has loaded, one after the other. */
export async function checkSelf(
  link: AgentLink,
  info: BoardInfo,
  models: readonly BoardModel[],
): Promise<SelfCheck> {
  const { agent, node, platform, description } = info;
  const generations: FleetBoardReport['generations'] = [];
  for (const { digest: model } of models.filter(generates))
    generations.push({ model, ...(await generate(link, model)) });
  return {
    agent,
    node,
    platform,
    description: { name: description.name, digest: sha256(canonical(description)) },
    models: models.map(({ digest, state }) => ({ model: digest, state })),
    generations,
  };
}

/** Ends with what it generated, also where that is an error. */
async function generate(link: AgentLink, model: string) {
  const tokens: TokenEvent[] = [];
  let forget = () => {};
  try {
    const end = await new Promise<GenerateEvent>((resolve, reject) => {
      forget = link.onLost(reject);
      const params = {
        generation: randomBytes(16).toString('hex'),
        model,
        prompt: { text: PROMPT },
        sampling: SAMPLING,
        service: { deadlineMs: GENERATE_MS },
        window: SAMPLING.maxTokens!,
      };
      const take = (event: GenerateEvent) => {
        if (event.type === 'token') tokens.push(event);
        else resolve(event);
      };
      const { result, release, stream } = link.openStream('generate.start', params, take, GENERATE_MS);
      stream.grant(params.window);
      result.catch(reject);
      const done = forget;
      forget = () => {
        done();
        release();
      };
    });
    if (end.type === 'failed') return { tokens: tokens.length, error: end.error.message.slice(0, 500) };
    return { tokens: tokens.length, digest: digestOf(tokens) };
  } catch (error) {
    const why = isPynqLlmError(error) ? error.message : String(error);
    return { tokens: tokens.length, error: why.slice(0, 500) };
  } finally {
    forget();
  }
}

/** SHA-256 over ids, texts and the bits of every log-probability. */
export function digestOf(tokens: readonly TokenEvent[]): string {
  const hash = createHash('sha256');
  const bits = Buffer.alloc(8);
  const number = (value: number) => {
    bits.writeDoubleLE(value);
    hash.update(bits);
  };
  for (const { id, text, logprob, top = [] } of tokens) {
    for (const value of [id, logprob, ...top.flat()]) number(value);
    number(Buffer.byteLength(text));
    hash.update(text);
  }
  return hash.digest('hex');
}

/** As JSON whose keys are sorted: boards that say the same say the same text. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
