import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { type MemorySample, residentMib } from '../../load/observe.js';

/** What may grow after the first quarter of a part's life: what came of it, in parts of what was there. */
export const MOST_GROWTH = 0.05;
/** Parts of a life that are compared: behind its first quarter, and at its end. */
const EARLY = [0.25, 0.4] as const;
const LATE = [0.85, 1] as const;
/** Of fewer samples a median says nothing. */
const LEAST_SAMPLES = 4;
const COLLECT_MS = 5_000;

/** Has a process of Node.js collect its garbage: what it then has is what it keeps. */
export class Inspector implements Disposable {
  readonly #socket: WebSocket;
  #number = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** @param said what the process, started with `--inspect`, said on standard error */
  static async open(said: () => string): Promise<Inspector> {
    for (const end = performance.now() + COLLECT_MS; ; await delay(50)) {
      const [url] = /ws:\/\/127\.0\.0\.1:\S+/.exec(said()) ?? [];
      if (url === undefined) {
        if (performance.now() > end) throw new Error(`a process has no inspector: ${said()}`);
        continue;
      }
      const socket = new WebSocket(url);
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      // Its process may be killed.
      socket.on('error', () => {});
      return new Inspector(socket);
    }
  }

  /** Resolves when it has, is gone, or is too busy to. */
  async collect(): Promise<void> {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const id = ++this.#number;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#socket.off('message', hear).off('close', end);
        resolve();
      };
      const hear = (data: WebSocket.RawData) => {
        if (JSON.parse(String(data)).id === id) end();
      };
      const timer = setTimeout(end, COLLECT_MS);
      this.#socket.on('message', hear).on('close', end);
      this.#socket.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }));
    });
  }

  [Symbol.dispose](): void {
    this.#socket.terminate();
  }
}

/** The resident memory of one process over its life. */
export interface PartMemory {
  readonly part: string;
  /** MiB that come and go: what of it says nothing. */
  readonly cacheMib: number;
  readonly samples: readonly MemorySample[];
}

/** Looks at a process now, behind its last garbage. */
export async function sample(
  pid: number,
  seconds: number,
  into: MemorySample[],
  inspector?: Inspector,
): Promise<void> {
  await inspector?.collect();
  const mib = residentMib(pid);
  if (mib !== undefined) into.push({ seconds, mib });
}

/**
 * What a part grew by after the first quarter of its life: of the medians of what was there behind it, and at the end without what
 * comes and goes, how much more the second one is. Undefined where there are too few samples.
 */
export function growthAfterQuarter({ samples, cacheMib }: PartMemory): number | undefined {
  const first = samples.at(0)?.seconds ?? 0;
  const life = (samples.at(-1)?.seconds ?? 0) - first;
  const within = ([from, to]: readonly [number, number]) =>
    samples
      .filter(({ seconds }) => seconds >= first + from * life && seconds <= first + to * life)
      .map(({ mib }) => mib)
      .sort((a, b) => a - b);
  const [early, late] = [within(EARLY), within(LATE)];
  if (early.length < LEAST_SAMPLES || late.length < LEAST_SAMPLES) return undefined;
  return (median(late) - cacheMib) / median(early) - 1;
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
