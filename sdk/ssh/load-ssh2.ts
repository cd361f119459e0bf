import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import type * as Ssh2 from 'ssh2';
import { PynqLlmError } from '../../errors/index.js';

/**
 * The ssh2 module, loaded when it is first needed: its optional native parts cannot be bundled, and a program that reaches
 * its agents otherwise is bundled without it.
 * @throws PynqLlmError SSH_MODULE_MISSING
 */
export function loadSsh2(): typeof Ssh2 {
  // A bundler that makes CommonJS leaves a module without a URL: then ssh2 is looked for from the program on.
  const module: string | undefined = import.meta.url;
  try {
    return createRequire(module ?? resolve(process.argv[1] ?? 'program'))('ssh2') as typeof Ssh2;
  } catch (cause) {
    throw new PynqLlmError(
      'SSH_MODULE_MISSING',
      `ssh2 cannot be loaded: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}.`,
      { cause },
    );
  }
}
