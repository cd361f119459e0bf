import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const MB = 1_000_000;

interface Packed {
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

// Without scripts: what is judged is what was built.
const pack = ['pack', '--dry-run', '--json', '--ignore-scripts'];
const [packed]: Packed[] = JSON.parse(execFileSync('npm', pack, { encoding: 'utf8', timeout: 120_000 }));
const paths = new Set(packed.files.map(({ path }) => path));
const about = JSON.parse(readFileSync('package.json', 'utf8')) as {
  exports: Record<string, string | { types: string; default: string }>;
};
const entries = Object.entries(about.exports).flatMap(([name, entry]) =>
  typeof entry === 'string' ? [] : [{ name: name.replace('.', 'pynq-llm'), ...entry }],
);

describe('the tarball', () => {
  // 16.1 MB with fleets, the bus and matrices in other forms, of which the agent's bundle for boards holds a second copy.
  it('has at most 17 MB, 10 MB compressed', () => {
    expect(packed.unpackedSize).toBeLessThanOrEqual(17 * MB);
    expect(packed.size).toBeLessThanOrEqual(10 * MB);
  });

  it('has no file twice, but for modules of a line or two that only pass types on', () => {
    const byDigest = new Map<string, string[]>();
    for (const path of paths) {
      const content = readFileSync(path);
      if (content.length < 500) continue;
      const digest = createHash('sha256').update(content).digest('hex');
      byDigest.set(digest, [...(byDigest.get(digest) ?? []), path]);
    }
    expect([...byDigest.values()].filter((same) => same.length > 1)).toEqual([]);
  });

  it('has nothing that only building and testing need', () => {
    const strange = /\.map$|\.tsbuildinfo$|^dist\/test\/|^docs\/api\/|(?<!\.d)\.ts$/;
    expect([...paths].filter((path) => strange.test(path))).toEqual([]);
  });

  it('names no source maps, as it has none', () => {
    const code = [...paths].filter((path) => /\.[cm]?js$/.test(path));
    expect(code.length).toBeGreaterThan(300);
    expect(code.filter((path) => readFileSync(path, 'utf8').includes('sourceMappingURL'))).toEqual([]);
  });

  it('has what a release for boards takes from outside of its bundle', () => {
    const { shared } = JSON.parse(readFileSync('dist/bundle/package.json', 'utf8')) as {
      shared: Record<string, string>;
    };
    expect(Object.keys(shared)).toEqual(
      expect.arrayContaining([
        'agent/core.wasm',
        'agent/kernels.wasm',
        'agent/weights.wasm',
        'boards/pynq-z1.toml',
      ]),
    );
    expect(Object.values(shared).filter((path) => !paths.has(path))).toEqual([]);
  });
});

describe('exports', () => {
  it.each([
    ['pynq-llm', 'connect'],
    ['pynq-llm/mock', 'openMock'],
    ['pynq-llm/agent', 'startAgent'],
  ])('%s has %s', async (name, what) => {
    expect(entries.map((entry) => entry.name)).toContain(name);
    expect(await import(name)).toHaveProperty(what, expect.any(Function));
  });

  it.each(entries)(
    '$name has its code and all of its declarations in the tarball',
    ({ types, default: code }) => {
      expect(paths).toContain(code.slice(2));
      const missing: string[] = [];
      const seen = new Set<string>();
      const follow = (path: string) => {
        if (seen.has(path)) return;
        seen.add(path);
        if (!paths.has(path)) return void missing.push(path);
        for (const [, to] of readFileSync(path, 'utf8').matchAll(
          /(?:from|import\() ?['"](\.[^'"]+)\.js['"]/g,
        ))
          follow(join(dirname(path), `${to}.d.ts`));
      };
      follow(types.slice(2));
      expect(seen.size).toBeGreaterThan(3);
      expect(missing).toEqual([]);
    },
  );
});
