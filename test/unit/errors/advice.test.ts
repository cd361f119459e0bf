import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../../cli/program.js';
import { ERROR_CODES } from '../../../errors/index.js';

const program = createProgram();

function all(command: Command): Command[] {
  return [command, ...command.commands.flatMap(all)];
}

const flags = new Set(all(program).flatMap(({ options }) => options.flatMap(({ long }) => long ?? [])));
const commands = new Set(
  all(program).flatMap((command) => [command.name(), `${command.parent?.name()} ${command.name()}`]),
);

/** Flags of other programs, whose names stand before them. */
const FOREIGN = /(?:gguf-new-metadata|llama-[a-z-]+|journalctl|git|ssh-keygen|by its --)[^;,:()]*/g;

const ADVICE = Object.entries(ERROR_CODES).map(([code, { remedy }]) => [code, remedy] as const);

/** What matches, of all advice, with the code of the error that gives it. */
function named(pattern: RegExp): [string, string][] {
  return ADVICE.flatMap(([code, remedy]) =>
    [...remedy.replace(FOREIGN, '').matchAll(pattern)].map((found): [string, string] => [code, found[1]]),
  );
}

describe('what errors advise can be done', () => {
  it('with flags that a command has', () => {
    const told = named(/(?<![\w-])(--[a-z][a-z0-9-]*[a-z0-9])/g);
    expect(told.length).toBeGreaterThan(10);
    expect(told.filter(([, flag]) => flag !== '--help' && !flags.has(flag))).toEqual([]);
  });

  it('with commands that there are', () => {
    const told = named(/`pynq-llm ([a-z]+)/g);
    expect(told.length).toBeGreaterThan(5);
    expect(told.filter(([, command]) => !commands.has(command))).toEqual([]);
    const below = named(/`pynq-llm (models [a-z]+)/g);
    expect(below.filter(([, command]) => !commands.has(command))).toEqual([]);
  });

  it('by documents that there are', () => {
    const told = named(/(docs\/[a-z-]+\.md)/g);
    expect(told.length).toBeGreaterThan(3);
    expect(told.filter(([, file]) => !existsSync(file))).toEqual([]);
  });
});
