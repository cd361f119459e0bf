#!/usr/bin/env node
import { EXIT, exitCodeOf, reportError } from './exit.js';
import { createProgram } from './program.js';

process.on('SIGINT', () => process.exit(EXIT.interrupted));
// A reader such as `head` that has seen enough is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
);
// Who reads no errors is none either.
process.stderr.on('error', () => {});

try {
  await createProgram().parseAsync();
} catch (error) {
  reportError(error);
  process.exitCode = exitCodeOf(error);
}
