import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

type Lock = {
  readonly packages: Readonly<Record<string, { readonly engines?: { readonly node?: string } }>>;
};
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

/** Whether a range such as `^18.0.0 || >=20.1` lets some Node 20 in. */
function takesNode20(range: string): boolean {
  return range.split('||').some((part) => {
    const [, operator = '', major] = /^\s*v?(>=|\^|~|>|<|<=)?\s*v?(\d+)/.exec(part) ?? [];
    if (major === undefined) return true;
    return operator.startsWith('>') ? Number(major) <= 20 : operator.startsWith('<') || Number(major) === 20;
  });
}

it.each(['package-lock.json', 'test/clients/package-lock.json'])('%s installs on Node 20', (path) => {
  const { packages }: Lock = read(path);
  const others = Object.entries(packages).filter(([, { engines }]) => !takesNode20(engines?.node ?? '*'));
  expect(others.map(([name, { engines }]) => `${name} ${engines?.node}`)).toEqual([]);
});

it('tests of every run use the openai client that programs run with', () => {
  const { dependencies } = read('test/clients/package.json');
  expect(read('package.json').devDependencies.openai).toBe(dependencies.openai);
  for (const folder of ['test/clients', 'test/clients/newest'])
    for (const version of Object.values(read(`${folder}/package.json`).dependencies))
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});
