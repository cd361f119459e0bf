// Copies shell scripts, units and udev rules to beside the compiled modules that read them: tsc leaves them alone.
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

if (process.argv[1] === import.meta.filename) copyShell();

export default function copyShell() {
  const dist = process.env.PYNQ_LLM_DIST ?? 'dist';
  for (const path of readdirSync('sdk', { recursive: true })) {
    if (!/\.(sh|service|rules)$/.test(path)) continue;
    const out = join(dist, 'sdk', path);
    mkdirSync(dirname(out), { recursive: true });
    copyFileSync(join('sdk', path), out);
  }
}
