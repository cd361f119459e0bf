import type { GenerationResult } from './request.js';

/** When a request came, began, and had its first and last token; what has not happened yet is undefined. */
interface Moments {
  readonly submittedAt: number;
  readonly startedAt: number | undefined;
  readonly firstTokenAt?: number | undefined;
  readonly lastTokenAt?: number | undefined;
}

/** How long each part of a request took, in milliseconds; a part that is not over lasts until `now`. */
export function requestTiming(
  { submittedAt, startedAt, firstTokenAt, lastTokenAt }: Moments,
  now: number,
  tokens: Pick<
    GenerationResult['timing'],
    'promptTokens' | 'cachedTokens' | 'replayedTokens' | 'generatedTokens'
  >,
): GenerationResult['timing'] {
  const started = startedAt ?? now;
  const first = firstTokenAt ?? now;
  return {
    queuedMs: started - submittedAt,
    prefillMs: first - started,
    decodeMs: Math.max(0, (lastTokenAt ?? first) - first),
    ...tokens,
  };
}
