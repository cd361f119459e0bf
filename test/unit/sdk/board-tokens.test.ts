import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MAKE_TOKENS } from '../../../sdk/deploy/prepare-board.js';
import { shellScript } from '../../../sdk/ssh/index.js';

const config = mkdtempSync(join(tmpdir(), 'pynq-llm-tokens-'));
afterAll(() => rmSync(config, { recursive: true, force: true }));

/** Runs what a deployment runs on the board. */
function deploy(): string {
  const owner = `${process.getuid?.()}:${process.getgid?.()}`;
  const script = `${shellScript([MAKE_TOKENS], { CONFIG: config })}make_tokens "$1"`;
  execFileSync('sh', ['-euc', script, 'pynq-llm', owner]);
  return readFileSync(join(config, 'tokens'), 'utf8');
}

describe.skipIf(process.platform === 'win32')('the tokens that are made on a board', () => {
  it('are 256 bits for each role, in a file that only the agent reads', () => {
    const lines = deploy().trimEnd().split('\n');
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['admin', 'infer', 'read']);
    const tokens = lines.map((line) => line.split(' ')[1]);
    for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(tokens).size).toBe(3);
    expect(statSync(join(config, 'tokens')).mode & 0o777).toBe(0o600);
  });

  it('stay as they are at the next deployment, and are made again where the file is empty', () => {
    const before = deploy();
    expect(deploy()).toBe(before);
    writeFileSync(join(config, 'tokens'), '');
    expect(deploy()).not.toBe(before);
    expect(statSync(join(config, 'tokens')).mode & 0o777).toBe(0o600);
  });
});
