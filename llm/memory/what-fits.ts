import type { BoardDescription } from '../../board/index.js';
import { bootMemory, dmaBytes, sizesOfBoard, withDmaMemory } from '../../board/index.js';
import { emptyMemory, type PlacedWeights } from '../../driver/index.js';
import { BLOCK_FORMATS } from '../../gguf/index.js';
import { checkCoreTypes, coreForm } from '../core-form/index.js';
import { PAGE_TOKENS } from '../kv/layout.js';
import { type BudgetInput, type MemoryRequest, type MemorySum, sumMemory } from './budget.js';
import { otherQuantisations } from './quantisations.js';

const MEBI = 2 ** 20;
const FEWER_COLUMNS = [32, 16, 8, 4, 1];

/**
 * What would make a model fit that does not: each line is a change that was computed and fits, with the exact value.
 * The order is that of how little is lost.
 */
export function whatFits(input: BudgetInput, sum: MemorySum, weights: PlacedWeights): string[] {
  const fits = (changed: BudgetInput, placed?: PlacedWeights) =>
    sumMemory(changed, placed).short === undefined;
  const withRequest = (change: MemoryRequest): BudgetInput => ({
    ...input,
    request: { ...input.request, ...change },
  });
  const requests =
    sum.short === 'system'
      ? smallerRequests(input, sum, (changed) => fits(changed, weights), withRequest)
      : [];
  const quantisation = smallerQuantisation(input, sum);
  const reservation = otherReservation(input, sum);
  const isNeither = quantisation.length + reservation.length === 0;
  const single = [
    ...othersUnloaded(input, fits),
    ...requests,
    ...asStored(input, sum, withRequest),
    ...quantisation,
    ...reservation,
    ...(sum.short === 'dma' && isNeither ? bothOfThem(input) : []),
    ...(sum.short === 'dma' ? staged(withRequest, weights) : []),
  ];
  return single.length > 0 ? single : together(input, sum, weights, withRequest);
}

type Fits = (changed: BudgetInput) => boolean;
type WithRequest = (change: MemoryRequest) => BudgetInput;

function othersUnloaded(input: BudgetInput, fits: Fits): string[] {
  const { description, dma } = input.board;
  const empty = emptyMemory(description);
  if (empty.free <= dma.free) return [];
  return fits({ ...input, board: { description, dma: empty } })
    ? ['unload the other models (`pynq-llm models unload MODEL`)']
    : [];
}

/** Matrices that take more memory for the core than in the file, left to the CPU. */
function asStored({ request, model }: BudgetInput, { short }: MemorySum, withRequest: WithRequest): string[] {
  const setting = checkCoreTypes(request.coreTypes);
  const hasOthers = model.matrices.some(({ type, columns }) => {
    const form = coreForm(type, columns, setting);
    return form !== undefined && form.made !== 'stored';
  });
  return short === 'dma' && hasOthers && sumMemory(withRequest({ coreTypes: 'exact' })).short === undefined
    ? [
        'fewer matrices on the core, and more on the CPU: those alone that it takes as they are (--exact-types)',
      ]
    : [];
}

/** Less context, INT8, fewer columns, fewer bytes for keys and values. */
function smallerRequests(input: BudgetInput, sum: MemorySum, fits: Fits, withRequest: WithRequest): string[] {
  const found: string[] = [];
  const columns = FEWER_COLUMNS.find((n) => n < sum.maxColumns && fits(withRequest({ maxColumns: n })));
  if (columns !== undefined) found.push(`${columns} columns at a time (--max-columns ${columns})`);
  if (sum.kvType !== 'int8' && fits(withRequest({ kvType: 'int8' })))
    found.push('INT8 keys and values (--kv-type int8)');
  if (input.request.kvBytes === undefined) {
    const context = longestContext(sum.contextLength, (contextLength) =>
      fits(withRequest({ contextLength })),
    );
    if (context !== undefined) found.push(`a context of ${context} tokens (--ctx-size ${context})`);
  } else {
    const bytes = input.request.kvBytes - (sum.system.need - sum.system.available);
    const mebi = Math.floor(bytes / MEBI);
    if (mebi > 0 && fits(withRequest({ kvBytes: mebi * MEBI })))
      found.push(`${mebi} MiB for keys and values (--kv-memory ${mebi})`);
  }
  return found;
}

/** The longest context of whole pages, below `most`, that fits. */
function longestContext(most: number, fits: (tokens: number) => boolean): number | undefined {
  let [low, high] = [0, Math.ceil(most / PAGE_TOKENS) - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle * PAGE_TOKENS)) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? undefined : low * PAGE_TOKENS;
}

function smallerQuantisation(input: BudgetInput, sum: MemorySum): string[] {
  const now = weightBytes(input);
  for (const { name, command, model } of otherQuantisations(input.model)) {
    if (weightBytes({ model }) >= now) continue;
    const smaller = sumMemory({ ...input, model });
    if (smaller.short !== undefined) continue;
    const takes =
      sum.short === 'dma'
        ? `${mebibytes(smaller.dma.need)} MiB of DMA memory`
        : `${mebibytes(smaller.system.need)} MiB of Linux's memory`;
    return [`quantised as ${name}, which takes ${takes} (${command})`];
  }
  return [];
}

function weightBytes({ model }: Pick<BudgetInput, 'model'>): number {
  return model.matrices.reduce((sum, m) => {
    const { blockBytes, blockSize } = BLOCK_FORMATS[m.type];
    return sum + (m.rows * m.columns * blockBytes) / blockSize;
  }, 0);
}

/** A smaller quantisation on another share of the board's memory. */
function bothOfThem(input: BudgetInput): string[] {
  const now = weightBytes(input);
  for (const { name, command, model } of otherQuantisations(input.model)) {
    if (weightBytes({ model }) >= now) continue;
    const changed = { ...input, model };
    const [reservation] = otherReservation(changed, sumMemory(changed));
    if (reservation !== undefined) return [`quantised as ${name} (${command}) with ${reservation}`];
  }
  return [];
}

/** Another share of the board's memory for DMA: a shipped description that has it, or the values of one's own. */
function otherReservation(input: BudgetInput, sum: MemorySum): string[] {
  const { board, system } = input;
  const { description } = board;
  if (system.isMock && description.dmaDevices === undefined && sum.short === 'system') return [];
  const has = dmaBytes(description);
  const fitting = candidates(input, sum).find((other) => {
    const available = system.isMock ? system.available : system.available + has - dmaBytes(other);
    const changed = { ...input, board: { description: other, dma: emptyMemory(other) } };
    return sumMemory({ ...changed, system: { ...system, available } }).short === undefined;
  });
  const argument = fitting && bootMemory(fitting).argument;
  if (fitting === undefined || argument === undefined) return [];
  const file =
    fitting.name === description.name
      ? fitting.dmaDevices
        ? `in_bytes = 0x${fitting.dmaDevices.inBytes.toString(16)}`
        : `base = 0x${fitting.dmaMemory[0].base.toString(16)}, size = 0x${fitting.dmaMemory[0].size.toString(16)}`
      : undefined;
  const how = file === undefined ? `the board ${fitting.name}` : `[dma_memory] ${file} in the board's file`;
  return [`${mebibytes(dmaBytes(fitting))} MiB for DMA: boot with ${argument} and use ${how}`];
}

/** Descriptions with another amount of DMA memory: those that ship, then exactly what is needed. */
function candidates({ board, model, request }: BudgetInput, sum: MemorySum): BoardDescription[] {
  const { description } = board;
  const wantsMore = sum.short === 'dma';
  const has = dmaBytes(description);
  const shipped = sizesOfBoard(description.name)
    .filter((other) => isSameButMemory(other, description))
    .toSorted((a, b) => dmaBytes(a) - dmaBytes(b));
  const alone = sumMemory({
    model,
    board: { description, dma: emptyMemory(description) },
    system: { available: Number.POSITIVE_INFINITY, source: '', uploads: 0, isMock: false },
    request: { coreTypes: request.coreTypes },
  });
  return [...shipped, ...resized(description, alone.dma.need)].filter((other) =>
    wantsMore ? dmaBytes(other) > has : dmaBytes(other) < has,
  );
}

function resized(description: BoardDescription, need: number): BoardDescription[] {
  const { dmaDevices } = description;
  const out = dmaDevices === undefined ? 0 : (dmaDevices.names.length / 2) * dmaDevices.outBytes;
  // No tensor spans two devices, and the last of each is rarely full: an eighth more.
  const bytes = dmaDevices === undefined ? need : (need - out) * 1.125 + out;
  const other = withDmaMemory(description, bytes);
  return other === undefined ? [] : [other];
}

/** Whether two descriptions are of the same board and design. */
function isSameButMemory(a: BoardDescription, b: BoardDescription): boolean {
  const rest = ({ name, title, dmaMemory, dmaDevices, clockHz, dma, ...all }: BoardDescription) =>
    JSON.stringify([all, dma.lanes]);
  return a.dmaDevices === undefined && b.dmaDevices === undefined && rest(a) === rest(b);
}

function staged(withRequest: WithRequest, weights: PlacedWeights): string[] {
  const sum = sumMemory(withRequest({ staged: true }), weights);
  if (sum.short !== undefined) return [];
  const seconds = sum.stagedSeconds.toFixed(sum.stagedSeconds < 10 ? 1 : 0);
  return [
    `slowly, with --staged: ${mebibytes(sum.stagedBytes)} MiB are read for each token, ${seconds} s at 20 MB/s`,
  ];
}

/** Where no single change is enough: all of them. */
function together(
  input: BudgetInput,
  sum: MemorySum,
  weights: PlacedWeights,
  withRequest: WithRequest,
): string[] {
  if (sum.short !== 'system') return [];
  const { kvBytes: _, ...request } = input.request;
  const attempts: MemoryRequest[] = [
    { maxColumns: 16, contextLength: Math.min(256, sum.contextLength), kvType: 'int8' },
    { maxColumns: 1, contextLength: Math.min(64, sum.contextLength), kvType: 'int8' },
  ];
  for (const attempt of attempts) {
    const changed = { ...withRequest(attempt), request: { ...request, ...attempt } };
    if (sumMemory(changed, weights).short === undefined)
      return [
        `all of --ctx-size ${attempt.contextLength} --kv-type int8 --max-columns ${attempt.maxColumns}`,
      ];
  }
  return [];
}

function mebibytes(bytes: number): string {
  return (bytes / MEBI).toFixed(0);
}
