import { ownKey } from '../bus/index.js';
import { exitCodeOf, reportError } from './exit.js';

/**
 * Prints the public key of a board in its fleet, and makes the key where there is none, as it runs on a board:
 * scripts/build-bundle.mjs makes one file of this and all it imports. What is private in it never leaves the board.
 */
try {
  const [file = ''] = process.argv.slice(2);
  process.stdout.write(`${await ownKey(file)}\n`);
} catch (error) {
  reportError(error);
  process.exitCode = exitCodeOf(error);
}
