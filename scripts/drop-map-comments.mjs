// Source maps are for whoever runs the tests, and the package has none: takes what names them off the compiled files that
// ship, as bundlers and debuggers warn of a map that is not there. The tests' own files keep it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export default function dropMapComments() {
  const dist = process.env.PYNQ_LLM_DIST ?? 'dist';
  for (const path of readdirSync(dist, { recursive: true })) {
    if (!path.endsWith('.js') || /^(test|bundle)[/\\]/.test(path)) continue;
    const file = join(dist, path);
    const text = readFileSync(file, 'utf8');
    const without = text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n');
    if (without !== text) writeFileSync(file, without);
  }
}
