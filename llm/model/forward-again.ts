import { isPynqLlmError } from '../../errors/index.js';
import type { Column } from './column.js';

/** Steps during which the device failed, and those of them that succeeded when they were tried again. */
export interface StepFaults {
  faults: number;
  recovered: number;
}

/** Of a `Model`, what a step needs. */
interface Steps {
  forward(columns: readonly Column[]): void;
  compute(columns: readonly Column[], hidden?: Float32Array): Float32Array | undefined;
}

/**
 * A step that is tried once more where the device fails: the driver resets it after a fault and the caches are as they were
 * before, so the same columns go again and give the same bits.
 * @throws PynqLlmError as `Model.forward`, DRIVER_... where the device fails twice
 */
export function forwardAgain(
  model: Pick<Steps, 'forward'>,
  columns: readonly Column[],
  counts: StepFaults,
): void {
  again(() => model.forward(columns), counts);
}

/** The same of columns whose places are made, as `Model.compute`. */
export function computeAgain(
  model: Pick<Steps, 'compute'>,
  columns: readonly Column[],
  hidden: Float32Array | undefined,
  counts: StepFaults,
): Float32Array | undefined {
  return again(() => model.compute(columns, hidden), counts);
}

/** Does `work` once more where the device fails at it. @throws as `work` */
export function again<T>(work: () => T, counts: StepFaults): T {
  try {
    return work();
  } catch (error) {
    if (!isDeviceFault(error)) throw error;
    counts.faults++;
    const result = work();
    counts.recovered++;
    return result;
  }
}

export function isDeviceFault(error: unknown): boolean {
  return isPynqLlmError(error) && error.code.startsWith('DRIVER_');
}
