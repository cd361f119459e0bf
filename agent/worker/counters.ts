import type { Accelerator } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Params, Result } from '../../protocol/index.js';

/** Every counter with the state it counts and the state its unit is in. A design without counters has none to show. */
export function readCounters(accelerator: Accelerator): Result<'counters.read'> {
  const traffic = { ...accelerator.traffic };
  if (!Object.hasOwn(accelerator.board.description.windows, 'hwc')) return { counters: [], traffic };
  const { counters } = accelerator;
  const states = counters.readStates();
  return {
    counters: counters.read().map((reading, index) => ({
      name: reading.monitor,
      target: reading.stateNumber,
      targetName: reading.state,
      cycles: reading.cycles,
      state: states[index].stateNumber,
      stateName: states[index].state,
    })),
    traffic,
  };
}

/** @throws PynqLlmError DRIVER_UNKNOWN_COUNTER, DRIVER_NO_COUNTERS, before any target is changed */
export function setCounterTargets(
  accelerator: Accelerator,
  { targets }: Params<'counters.setTargets'>,
): Result<'counters.setTargets'> {
  const known = accelerator.counters.list().map(({ name }) => name);
  for (const name of Object.keys(targets))
    if (!known.some((one) => one === name))
      throw new PynqLlmError(
        'DRIVER_UNKNOWN_COUNTER',
        `This core has no monitor "${name}"; it has ${known.join(', ')}.`,
      );
  accelerator.counters.setTargets(targets);
  return {};
}
