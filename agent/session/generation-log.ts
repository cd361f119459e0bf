import type { GenerateEvent, GenerationTiming, TokenEvent } from '../../protocol/index.js';

/** How a generation ended and how long it took, for a log. */
export interface EndFacts extends Partial<GenerationTiming> {
  /** Why it ended, or the code of the error that it ended by. */
  readonly reason?: string;
  readonly code?: string;
  readonly tokens?: number;
}

/** No text is in it. */
export function endFacts(event: Exclude<GenerateEvent, TokenEvent>): EndFacts {
  if (event.type === 'failed') return { code: event.error.code };
  return { reason: event.reason, tokens: event.tokens, ...event.timing };
}
