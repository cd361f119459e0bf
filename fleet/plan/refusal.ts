import { type BoardDescription, bootMemory, dmaBytes, withDmaMemory } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { stageMemory } from '../../llm/index.js';
import type { FleetModel } from './fleet-model.js';
import type { PipelinePlan, PlanOptions } from './pipeline-plan.js';

const MEBI = 2 ** 20;
/** More boards than that nobody has on a desk. */
const MOST_BOARDS = 64;
/** Shares of a board's memory that are tried for DMA. */
const SHARE_STEPS = 32;

type Try = (boards: readonly BoardDescription[], options: PlanOptions) => PipelinePlan | undefined;

export function tooManyBoards(model: string, boards: number, layers: number): PynqLlmError {
  return new PynqLlmError(
    'FLEET_PLAN_TOO_MANY_BOARDS',
    `${model} has ${layers} layers: a pipeline of it has 1 to ${layers} boards, and ${boards} were given.`,
    { context: { model, boards, layers } },
  );
}

/** The error of a model that no cut brings onto these boards, with what would. */
export function refusePipeline(
  model: FleetModel,
  boards: readonly BoardDescription[],
  options: PlanOptions,
  attempt: Try,
): PynqLlmError {
  const fits = whatWouldFit(model, boards, options, attempt);
  const has = boards.reduce((sum, board) => sum + dmaBytes(board), 0);
  const layers = model.step.layers.length;
  const whole = stageMemory(model.memory, { from: 0, to: layers }, boards[0]!, options.request ?? {}, 0);
  const what = `${model.name} does not fit ${boards.length} ${boards.length === 1 ? 'board' : 'boards'} with everything resident: it takes ${mebibytes(whole.dma.need)} MiB of DMA memory, they have ${mebibytes(has)} MiB in all, and layers cannot be cut.`;
  return new PynqLlmError('FLEET_PLAN_DOES_NOT_FIT', what, {
    context: { model: model.name, boards: boards.map(({ name }) => name), needed: whole.dma.need, fits },
    remedy:
      fits.length === 0
        ? 'Use a smaller quantisation of the model, or boards with more memory.'
        : `It would fit: ${fits.map((one, i) => `(${i + 1}) ${one}`).join('; ')}.`,
  });
}

/** Changes each of which was planned and fits. */
function whatWouldFit(
  model: FleetModel,
  boards: readonly BoardDescription[],
  options: PlanOptions,
  attempt: Try,
): string[] {
  const found: string[] = [];
  const { request = {} } = options;
  const last = boards.at(-1)!;
  const most = Math.min(MOST_BOARDS, model.step.layers.length);
  for (let count = boards.length + 1; count <= most; count++) {
    const more = [...boards, ...new Array<BoardDescription>(count - boards.length).fill(last)];
    if (attempt(more, options) === undefined) continue;
    found.push(`${count} boards (${count - boards.length} more of ${last.name})`);
    break;
  }
  const share = largerShare(boards, (others) => attempt(others, options) !== undefined);
  if (share !== undefined) found.push(share);
  if (request.kvType !== 'int8' && attempt(boards, { ...options, request: { ...request, kvType: 'int8' } }))
    found.push('INT8 keys and values (--kv-type int8)');
  const context = [2048, 1024, 512, 256].find(
    (contextLength) =>
      contextLength < (request.contextLength ?? model.memory.trainedContext) &&
      attempt(boards, { ...options, request: { ...request, contextLength } }) !== undefined,
  );
  if (context !== undefined) found.push(`a context of ${context} tokens (--ctx-size ${context})`);
  return found;
}

/** As many boards, each with a larger part of its memory for DMA: the smallest of some that fits. */
function largerShare(
  boards: readonly BoardDescription[],
  fits: (boards: readonly BoardDescription[]) => boolean,
): string | undefined {
  for (let i = 1; i < SHARE_STEPS; i++) {
    const others = boards.map((board) => {
      const bytes = (board.memoryBytes * i) / SHARE_STEPS;
      return bytes <= dmaBytes(board) ? board : withDmaMemory(board, bytes);
    });
    const known = others.filter((board) => board !== undefined);
    if (known.length < boards.length || known.every((board, j) => board === boards[j]) || !fits(known))
      continue;
    const changed = known.find((board, j) => board !== boards[j])!;
    return `${mebibytes(dmaBytes(changed))} MiB of DMA memory on ${known.length === 1 ? 'it' : 'each'} (--dma-memory ${mebibytes(dmaBytes(changed))}; boot with ${bootMemory(changed).argument})`;
  }
  return undefined;
}

function mebibytes(bytes: number): string {
  return (bytes / MEBI).toFixed(0);
}
