import { byBeginning } from './admission.js';
import type { SequenceView, ServiceClass, Snapshot } from './snapshot.js';

/** What a request still has to get, as far as it can be known. */
export interface Ahead {
  /** Tokens after the next one. */
  readonly tokens: number;
  /** Columns of each of its steps once its prompt is computed. */
  readonly width: number;
}

interface Way {
  readonly view: SequenceView;
  prompt: number;
  tokens: number;
  readonly width: number;
}

/**
 * When a request is likely to end: requests begin in the order in which they would if nobody else came, so many at a time as
 * there are places, one prompt after the other in steps of as many columns as pay, each beside the tokens of those that
 * generate. Shares, memory and turns of batch work are left out: it is a prediction.
 *
 * @param id of the request
 * @param ahead what each of the snapshot's requests still has to get, by its id
 * @param msOf what a step of so many columns takes
 * @returns milliseconds from now
 */
export function predictEnd(
  snapshot: Snapshot,
  id: number,
  ahead: (id: number) => Ahead,
  msOf: (columns: number) => number,
): number {
  // What its client does not read is not computed; it itself has no credit before it has begun.
  const read = snapshot.sequences.filter((view) => view.hasCredit || view.id === id);
  const waiting = byBeginning(read.filter(({ state }) => state === 'waiting'));
  const running = read.filter(({ state }) => state === 'running');
  const ways = [...running, ...waiting].map((view): Way => {
    const { tokens, width } = ahead(view.id);
    // The last column of a prompt gives the first token.
    return {
      view,
      prompt: view.generates ? 0 : view.left,
      tokens: view.generates ? tokens + 1 : tokens,
      width,
    };
  });
  const prompts = Math.min(snapshot.maxColumns, snapshot.payingColumns);
  let ms = 0;
  // Each phase ends a prompt or a request.
  while (ways.some(({ view }) => view.id === id)) {
    const inPlaces = withPlaces(ways, snapshot.limits.maxSequences);
    const computed = inPlaces.find(({ prompt }) => prompt > 0);
    const generating = inPlaces.filter(({ prompt }) => prompt === 0);
    const columns = generating.reduce((sum, { width }) => sum + width, 0);
    const forTokens = Math.min(...generating.map(({ tokens }) => tokens));
    const steps = Math.min(
      forTokens,
      computed === undefined ? forTokens : Math.ceil(computed.prompt / prompts),
    );
    const more = computed === undefined ? 0 : Math.min(prompts, Math.ceil(computed.prompt / steps));
    ms += steps * msOf(columns + more);
    if (computed !== undefined) computed.prompt = Math.max(0, computed.prompt - steps * more);
    for (const way of generating) way.tokens -= steps;
    for (const way of inPlaces) if (way.prompt === 0 && way.tokens <= 0) ways.splice(ways.indexOf(way), 1);
  }
  return ms;
}

/** Those that have places: batch work has those that interactive requests leave. */
function withPlaces(ways: readonly Way[], places: number): Way[] {
  const of = (served: ServiceClass) => ways.filter(({ view }) => view.class === served);
  return [...of('interactive'), ...of('batch')].slice(0, places);
}
