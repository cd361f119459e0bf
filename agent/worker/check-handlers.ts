import { type Accelerator, filesOf, listChecks, runCheck, selfTestCheck } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { DeviceHandlers, MethodsOf } from './handlers.js';
import { multiply } from './mat-mul.js';

/** Checks of the device against vectors: which ones there are, and running one. */
export function checkHandlers(accelerator: () => Accelerator): DeviceHandlers<MethodsOf<'device'>> {
  return {
    'device.listChecks': (params) => {
      const lists = Object.fromEntries(
        Object.entries(params)
          .filter(([, text]) => text !== undefined)
          .map(([name, text]) => [name, parseJson(`${name}.json`, text)]),
      );
      const checks = listChecks(lists, accelerator().board.description.revision);
      return {
        checks: checks.map((check) => ({
          name: check.name,
          files: [...filesOf(check)],
          check: JSON.stringify(check),
        })),
      };
    },
    'device.runCheck': (params) => {
      const parsed = selfTestCheck.safeParse(parseJson('check', params.check));
      if (!parsed.success)
        throw new PynqLlmError('DRIVER_BAD_VECTOR', `The check is not one: ${parsed.error.message}.`);
      const files = new Map(params.files.map(({ name, data }) => [name, data]));
      const result = runCheck(accelerator(), parsed.data, files);
      return { ...result, details: [...result.details] };
    },
    'device.matMul': (params) => multiply(accelerator(), params),
  };
}

function parseJson(name: string, text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch (cause) {
    throw new PynqLlmError('DRIVER_BAD_VECTOR', `${name} is not JSON.`, { cause });
  }
}
