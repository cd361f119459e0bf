// For each line of its input, which names a board: logs in and runs a command there, as the product's commands do. Says how that ended, a line each.
import { createInterface } from 'node:readline/promises';
import { isPynqLlmError, openSsh, parseSshTarget } from '../../../sdk/index.js';

for await (const board of createInterface({ input: process.stdin })) {
  try {
    await using connection = await openSsh(parseSshTarget(board));
    const { stdout } = await connection.exec('echo reached');
    process.stdout.write(stdout);
  } catch (error) {
    if (!isPynqLlmError(error)) throw error;
    process.stdout.write(`${error.code} ${error.message}\n`);
  }
}
