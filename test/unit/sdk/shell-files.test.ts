import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { unitFile } from '../../../sdk/deploy/unit-file.js';
import { shellCommand, shellScript } from '../../../sdk/ssh/index.js';
import { temporaryDirectory } from '../../system/support/agent.js';

const HOSTILE = `'; exit 3; "$(exit 4)" \`exit 5\` \\ $HOME *\n#[x] @Y@ é`;
const ASSETS = /\.(sh|service|rules)$/;

describe('a shell script with values', () => {
  it('has each of them as it is, whatever it holds', () => {
    using folder = temporaryDirectory();
    const file = pathToFileURL(join(folder.path, 'x.sh'));
    writeFileSync(file, 'printf "%s|" "$VALUE" "$NUMBER" "$@"\n');
    const command = shellCommand(shellScript([file], { VALUE: HOSTILE, NUMBER: 7 }), [HOSTILE, '']);
    expect(execFileSync('sh', ['-c', command], { encoding: 'utf8' })).toBe(`${HOSTILE}|7|${HOSTILE}||`);
  });
});

describe('a unit with values', () => {
  const made = (text: string, values: Record<string, string> = {}, cases: Record<string, boolean> = {}) => {
    using folder = temporaryDirectory();
    const file = pathToFileURL(join(folder.path, 'x.service'));
    writeFileSync(file, text);
    return unitFile(file, values, cases);
  };

  it('has each of them as one word, and reads nothing in it', () => {
    expect(made('ExecStart=@A@ @B@\n', { A: 'x\n#[on] y', B: '@A@' })).toBe(
      'ExecStart="x\\x0a#[on] y" @A@\n',
    );
  });

  it('has the lines of its cases alone', () => {
    expect(made('A=1\n#[on] B=2\n#[off] C=3\n', {}, { on: true, off: false })).toBe('A=1\nB=2\n');
  });

  it('is not made where a value is missing', () => {
    expect(() => made('User=@WHO@\n')).toThrow(/WHO/);
  });
});

it('what is built has the scripts and units of the sources', () => {
  const listed = (folder: string) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => ASSETS.test(path))
      .toSorted();
  const files = listed('sdk');
  expect(files).toContain(join('deploy', 'switch.sh'));
  expect(listed(join('dist', 'sdk'))).toEqual(files);
  for (const file of files)
    expect(readFileSync(join('dist', 'sdk', file), 'utf8')).toBe(readFileSync(join('sdk', file), 'utf8'));
});
