// Copies shell scripts, units, udev rules and the counter of instructions to beside the compiled modules that read them: tsc leaves them alone.
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

if (process.argv[1] === import.meta.filename) copyShell();

export default function copyShell() {
  const dist = process.env.PYNQ_LLM_DIST ?? 'dist';
  for (const folder of ['sdk', 'bench']) {
    for (const path of readdirSync(folder, { recursive: true })) {
      if (!/\.(sh|service|rules|c)$/.test(path)) continue;
      const out = join(dist, folder, path);
      mkdirSync(dirname(out), { recursive: true });
      copyFileSync(join(folder, path), out);
    }
  }
}
