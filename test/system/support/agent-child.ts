import { startAgent } from '../../../agent/index.js';

// An agent in a process of its own, for tests that kill it: node agent-child.js LISTEN STORE.
const [, , listen, storeDir] = process.argv;
const agent = await startAgent({ device: 'mock:', listen, storeDir });
process.send?.(agent.url);
process.on('disconnect', () => process.exit());
