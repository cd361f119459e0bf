import { readFileSync } from 'node:fs';

export const readme = readFileSync('README.md', 'utf8');

/** The lines of its shell blocks, in order. */
export const commands = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) =>
  block!.trim().split('\n'),
);

/** A command's words as a shell sees them. */
export function wordsOf(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare!,
  );
}
