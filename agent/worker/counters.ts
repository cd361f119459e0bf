import type { Accelerator } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { DeviceHandlers, MethodsOf } from './handlers.js';

/** The core's counters. A design without them has none to show, and none to set. */
export function counterHandlers(accelerator: () => Accelerator): DeviceHandlers<MethodsOf<'counters'>> {
  return {
    // Every counter with the state it counts and the state its unit is in.
    'counters.read': () => {
      const core = accelerator();
      const traffic = { ...core.traffic };
      if (!Object.hasOwn(core.board.description.windows, 'hwc')) return { counters: [], traffic };
      // Looked up only now: a design without counters throws.
      const { counters } = core;
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
    },
    'counters.reset': () => {
      accelerator().counters.reset();
      return {};
    },
    // Throws DRIVER_UNKNOWN_COUNTER or DRIVER_NO_COUNTERS before any target is changed.
    'counters.setTargets': ({ targets }) => {
      const { counters } = accelerator();
      const known = counters.list().map(({ name }) => name);
      for (const name of Object.keys(targets))
        if (!known.some((one) => one === name))
          throw new PynqLlmError(
            'DRIVER_UNKNOWN_COUNTER',
            `This core has no monitor "${name}"; it has ${known.join(', ')}.`,
          );
      counters.setTargets(targets);
      return {};
    },
  };
}
