import { type BoardBenchResult, benchBoard, type Missing } from '../../../bench/index.js';

/** What is gated; `npm run record:instructions` writes it again. */
export const INSTRUCTIONS_FILE = 'test/long/instructions.json';

/** By kind of memory: accesses and transfers of a token, and by context and part its thousands of instructions. */
export interface RecordedMemory {
  readonly registerAccesses: number;
  readonly dmaTransfers: number;
  readonly thousands: Readonly<Record<string, Readonly<Record<string, number>>>>;
}
export type RecordedInstructions = Readonly<Record<string, RecordedMemory>>;

/** Counts the small model's tokens as they are gated. */
export async function countSmall(): Promise<RecordedInstructions | Missing> {
  const result = await benchBoard({
    small: true,
    memory: ['reserved', 'u-dma-buf'],
    contexts: [40, 128],
    onNote: () => {},
  });
  return 'missing' in result
    ? result
    : Object.fromEntries(result.runs.map((run) => [run.memory, recordOf(run)]));
}

function recordOf({ counts, traffic }: BoardBenchResult['runs'][number]): RecordedMemory {
  const thousands = (instructions: number) => Math.round(instructions / 1000);
  const { registerReads, registerWrites, dmaTransfers } = traffic;
  return {
    registerAccesses: registerReads + registerWrites,
    dmaTransfers,
    thousands: Object.fromEntries(
      counts.map(({ context, total, parts }) => [
        `context ${context}`,
        Object.fromEntries(
          [...Object.entries(parts), ['all of it', total] as const].map(([part, value]) => [
            part,
            thousands(value),
          ]),
        ),
      ]),
    ),
  };
}
