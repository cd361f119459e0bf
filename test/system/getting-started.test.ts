import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/description-file.js';
import { createProgram } from '../../cli/program.js';
import {
  bitFile,
  configuration,
  IDCODE_7Z020,
  IDCODE_XCK26,
} from '../unit/firmware-bridge/support/bitstreams.js';
import { handoff } from '../unit/firmware-bridge/support/handoffs.js';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const guide = readFileSync('docs/getting-started-board.md', 'utf8');
const home = temporaryDirectory();
afterAll(() => home[Symbol.dispose]());

/** Commands of the guide, in blocks and in the text, without what the shell does with their output. */
const commands = [
  ...[...guide.matchAll(/^ *```sh\n([\s\S]*?)```/gm)].flatMap(([, block]) => block!.trim().split('\n')),
  ...[...guide.matchAll(/`((?:npx )?pynq-llm [^`]*)`/g)].map(([, text]) => text!),
]
  .map((line) => line.trim().replace(/\s+/g, ' '))
  .filter((line) => /^(npx )?pynq-llm [a-z]/.test(line) && !line.includes('…'));
const wordsOf = (command: string) =>
  [...command.replace(/ > .*$/, '').matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
    .map(([, double, single, bare]) => double ?? single ?? bare!)
    .filter((word, i) => i > 1 || !['npx', 'pynq-llm'].includes(word));

/** The command line, which parses and then does nothing: what most commands do needs a board. */
function parserOnly(): { readonly program: Command; readonly parsed: string[] } {
  const program = createProgram();
  const parsed: string[] = [];
  const disarm = (command: Command) => {
    command.exitOverride((error) => {
      throw error;
    });
    command.configureOutput({ writeErr: () => {} });
    if (command.commands.length === 0) command.action(() => void parsed.push(command.name()));
    for (const child of command.commands) disarm(child);
  };
  disarm(program);
  return { program, parsed };
}

describe('the guide from box to first token', () => {
  it('has its commands where this test looks for them', () => {
    const names = new Set(commands.map((command) => wordsOf(command)[0]));
    expect(names).toEqual(
      new Set([
        'provision',
        'console',
        'doctor',
        'deploy',
        'run',
        'selftest',
        'bitstream',
        'status',
        'logs',
        'restart',
      ]),
    );
  });

  // What they do is tested where a board can be had: deploy over a real SSH server, the others against agents.
  it.each(commands)('%s is a command', async (command) => {
    const { program, parsed } = parserOnly();
    await program.parseAsync(wordsOf(command), { from: 'user' });
    expect(parsed).toHaveLength(1);
  });

  it('of which a wrong one would be noticed', async () => {
    const { program } = parserOnly();
    await expect(program.parseAsync(['deploy', 'a@b', '--bitstraem', 'x'], { from: 'user' })).rejects.toThrow(
      /unknown option/,
    );
  });

  it.each(commands.filter((command) => /^npx pynq-llm bitstream/.test(command)))(
    '%s runs',
    async (command) => {
      const file = wordsOf(command)[1]!;
      const path = join(home.path, file);
      const forZ1 = command.includes('pynq-z1');
      writeFileSync(
        path,
        file.endsWith('.hwh')
          ? handoff()
          : bitFile(
              forZ1 ? '7z020clg400' : 'xck26-sfvc784-2LV-c',
              configuration(forZ1 ? IDCODE_7Z020 : IDCODE_XCK26),
            ),
      );
      const args = wordsOf(command).map((word) => (word === file ? path : word));
      const { status, stdout } = await cli(args, { home: home.path });
      expect(stdout).toMatch(file.endsWith('.hwh') ? /^clock_hz = 199_998_001$/m : /^FPGA +(7z020|xck26)$/m);
      expect(status).toBe(0);
    },
  );

  it.each(['kv260-2026-v3', 'kv260-2026-v4'])(
    'names the published file of %s, its digest and its slack',
    (name) => {
      const { fpga } = loadBoardDescription(name);
      const row = guide.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``))!;
      expect(row).toContain(fpga!.bitstreamMd5);
      expect(guide).toContain(`${-fpga!.setup!.slackNs} ns`);
    },
  );

  it('has CMA for what it says the buffers take', () => {
    const { dma } = loadBoardDescription('kv260-2026-v3');
    const rows = [...guide.matchAll(/^\| (\d+) \| (\d+) MiB, `cma=(\d+)M` \|/gm)].map((row) =>
      row.slice(1).map(Number),
    );
    expect(rows.map(([each]) => each)).toEqual([16, 64, 128, 192]);
    for (const [each, all, cma] of rows) {
      expect(all).toBe(dma.lanes * (each! + 16));
      expect(cma).toBeGreaterThan(all!);
    }
  });
});
