import { PynqLlmError } from '../../errors/index.js';
import { checkParams, type MethodName, type Params, type Result } from '../../protocol/index.js';
import type { AgentLink } from './agent-link.js';

/** What a gateway may ask a board's agent, and how long it may take. */
const MILLISECONDS = {
  'models.tokenize': 120_000,
  'models.detokenize': 120_000,
  'models.pieces': 120_000,
  'models.applyTemplate': 120_000,
  'models.plan': 30_000,
  'models.check': 120_000,
  'models.load': 120_000,
  'models.pages': 30_000,
  'models.unload': 60_000,
  'models.delete': 60_000,
  score: 590_000,
} as const satisfies { readonly [M in MethodName]?: number };
export type CalledMethod = keyof typeof MILLISECONDS;

function isCalled(method: string): method is CalledMethod {
  return Object.hasOwn(MILLISECONDS, method);
}

/** Answers one of the methods by the board's agent. @throws PynqLlmError FLEET_BAD_MESSAGE, PROTOCOL_BAD_PARAMS; as the agent */
export async function answerCall(link: AgentLink, method: string, params: unknown): Promise<unknown> {
  if (!isCalled(method))
    throw new PynqLlmError('FLEET_BAD_MESSAGE', `A board is not asked for "${method.slice(0, 60)}".`);
  return ask(link, method, checkParams(method, params));
}

async function ask<M extends CalledMethod>(
  link: AgentLink,
  method: M,
  params: Params<M>,
): Promise<Result<M>> {
  const timeoutMs = MILLISECONDS[method];
  if (method !== 'score' && method !== 'models.load') return link.request(method, params, timeoutMs);
  // What they tell of their progress is not asked for.
  const { result, release } = link.openStream(method, params as Params<'score'>, () => {}, timeoutMs);
  return (await result.finally(release)) as Result<M>;
}
