// Packs the package as it would be published and has publint and attw judge the tarball. Needs dist/, no network.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-pack-'));
try {
  // Without scripts: they would build again what is to be judged.
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(execFileSync('npm', pack, { encoding: 'utf8' }));
  const tarball = join(folder, filename);
  run('publint', [tarball, '--strict']);
  run('attw', [tarball, '--profile', 'esm-only', '--no-emoji']);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function run(program, args) {
  execFileSync(join('node_modules', '.bin', program), args, { stdio: 'inherit', timeout: 300_000 });
}
