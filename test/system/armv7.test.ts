import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { TINY_MODEL } from './support/agent.js';
import { armv7Node } from './support/armv7.js';
import { digestLogits, type LogitsDigest } from './support/logits-digest.js';

test('armv7 computes the greedy tokens and the bits of all logits that this machine computes', async ({
  skip,
}) => {
  const node = armv7Node();
  if ('missing' in node) skip(node.missing);
  else {
    const program = resolve('dist/test/system/support/logits-digest-main.js');
    const [command, ...args] = [...node.command, program, TINY_MODEL, 'pynq-z1', 'Once upon a time', '16'];
    const { stdout } = await promisify(execFile)(command, args, { timeout: 100_000 });
    const there: LogitsDigest = JSON.parse(stdout);
    expect(there.architecture).toBe('arm');
    expect({ ...there, architecture: process.arch }).toEqual(
      digestLogits(TINY_MODEL, 'pynq-z1', 'Once upon a time', 16),
    );
  }
});
