import { PynqLlmError } from '../../errors/index.js';
import { HEADER_ROOM } from '../checks.js';
import type { Greeting } from './greeting.js';

/** What a fleet's largest message takes: a piece of a model, 512 KiB, and a little beside it. */
const LEAST_PAYLOAD = 524_288 + HEADER_ROOM + 4_096;
/** The first whose streams are read by direct gets as they are here. */
const OLDEST = [2, 9, 10] as const;

/** What a broker lacks of what a fleet needs: BUS_BROKER_TOO_OLD, BUS_NO_JETSTREAM, BUS_SERVER_LIMIT, in this order. */
export function lacksOf({
  version,
  hasJetStream,
  hasHeaders,
  maxPayload,
}: Pick<Greeting, 'version' | 'hasJetStream' | 'hasHeaders' | 'maxPayload'>): PynqLlmError[] {
  const lacks: PynqLlmError[] = [];
  const parts = /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
  if (!parts || isBefore(parts, OLDEST))
    lacks.push(
      new PynqLlmError('BUS_BROKER_TOO_OLD', `The broker is nats-server ${version.slice(0, 40)}.`, {
        context: { version },
      }),
    );
  if (!hasJetStream || !hasHeaders)
    lacks.push(new PynqLlmError('BUS_NO_JETSTREAM', 'The broker says that its JetStream is off.'));
  if (maxPayload < LEAST_PAYLOAD)
    lacks.push(
      new PynqLlmError(
        'BUS_SERVER_LIMIT',
        `The broker's max_payload is ${maxPayload}; ${LEAST_PAYLOAD} bytes are needed.`,
        { context: { maxPayload, least: LEAST_PAYLOAD } },
      ),
    );
  return lacks;
}

function isBefore(version: readonly number[], than: readonly number[]): boolean {
  const i = than.findIndex((part, j) => version[j] !== part);
  return i >= 0 && version[i]! < than[i]!;
}
