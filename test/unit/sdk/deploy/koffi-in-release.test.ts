import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { platformOf } from '../../../../sdk/deploy/platforms.js';
import { buildRelease } from '../../../../sdk/deploy/release.js';

const platform = platformOf('x86_64');

it.skipIf(platform === undefined)('a release brings all files along that koffi loads', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-release-'));
  try {
    const bundle = join(folder, 'bundle');
    mkdirSync(join(bundle, 'agent'), { recursive: true });
    writeFileSync(join(bundle, 'agent', 'main.mjs'), '');
    writeFileSync(join(bundle, 'package.json'), '{"version":"1.2.3"}');
    if (platform === undefined) return;
    const { files } = await buildRelease(platform, bundle, {});
    for (const { path, from } of files.filter((file) => file.path.startsWith('node_modules/'))) {
      const to = join(folder, 'release', path);
      mkdirSync(dirname(to), { recursive: true });
      if (typeof from === 'string') copyFileSync(from, to);
    }
    const program = 'process.stdout.write(String(require("koffi").sizeof("long")))';
    const size = execFileSync(process.execPath, ['-e', program], { cwd: join(folder, 'release') });
    expect(size.toString()).toBe('8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
