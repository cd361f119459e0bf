import { existsSync } from 'node:fs';
import { startAgent } from '../../agent/index.js';
import { endWindow } from './marks.js';

/** An agent of the mock whose counts are written each time a client says hello; the third one ends it. */
const WINDOWS = 3;

const [listen, storeDir] = process.argv.slice(2);
let hellos = 0;
const log = {
  info: (_: object, message: string) => {
    if (message !== 'session opened') return;
    endWindow();
    if (++hellos === WINDOWS) setTimeout(() => process.exit());
  },
  warn: (facts: object, message: string) => console.error(message, facts),
  error: (facts: object, message: string) => console.error(message, facts),
};
await startAgent({ device: 'mock:', listen, storeDir, log });

// Who counts may have given up, and its folder is gone then.
setInterval(() => existsSync(storeDir) || process.exit(1), 1_000);
