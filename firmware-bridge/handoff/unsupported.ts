import { PynqLlmError } from '../../errors/index.js';

export function unsupported(why: string): PynqLlmError {
  return new PynqLlmError('FIRMWARE_HANDOFF_UNSUPPORTED', `The design cannot be used: ${why}.`);
}
