import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fileSink, fileSource, GgmlType, openGguf, type TensorToWrite, writeGguf } from '../../gguf/index.js';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const directory = temporaryDirectory();
afterAll(() => directory[Symbol.dispose]());
const home = directory.path;
const MIB = 2 ** 20;

/** A model of matrices alone, whose halves are a pattern of small weights. */
function writeModel(
  path: string,
  shapes: Readonly<Record<string, readonly [columns: number, rows: number]>>,
) {
  const tensors = Object.entries(shapes).map(([name, [columns, rows]], i): TensorToWrite => {
    const row = Uint16Array.from(
      { length: columns },
      (_, k) => 0x2000 + ((k * 7919 + i) % 3000) + 0x8000 * (k % 2),
    );
    const bytes = new Uint8Array(row.buffer);
    return {
      name,
      type: GgmlType.F16,
      shape: [columns, rows],
      produce: (emit) => {
        for (let done = 0; done < rows; done++) emit(bytes);
      },
    };
  });
  using sink = fileSink(path);
  writeGguf(sink, new Map([['general.architecture', { type: 'string', value: 'llama' }]]), tensors);
}

const LAYER = Object.fromEntries(
  ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'].map((part) => [
    `blk.0.${part}.weight`,
    [512, 64] as const,
  ]),
);
const SOURCE = join(home, 'model-f16.gguf');
writeModel(SOURCE, { 'output.weight': [512, 64], ...LAYER });

function typesIn(path: string): Record<string, number> {
  using source = fileSource(path);
  const types: Record<string, number> = {};
  for (const { type } of openGguf(source).tensors.values()) types[type] = (types[type] ?? 0) + 1;
  return types;
}

describe('pynq-llm quantize', () => {
  it('writes the mixture and says what it made of what', async () => {
    const out = join(home, 'q4.gguf');
    const result = await cli(['quantize', SOURCE, out, '--type', 'q4_k_m'], { home });
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(/F16 → Q4_K +4 /);
    expect(result.stdout).toMatch(/Q4_K_M: 459 kB → /);
    expect(typesIn(out)).toEqual({ [GgmlType.Q6_K]: 3, [GgmlType.Q4_K]: 4 });
  });

  it('takes rules for single tensors, and says in JSON what they made', async () => {
    const args = [
      '--type',
      'Q3_K_S',
      '--tensor-type',
      'ffn_down=Q5_K',
      '--tensor-type',
      'ffn=Q2_K',
      '--json',
    ];
    const result = await cli(['quantize', SOURCE, join(home, 'rules.gguf'), ...args], { home });
    const { tensors } = JSON.parse(result.stdout);
    const made = Object.fromEntries(tensors.map(({ name, to }: { name: string; to: string }) => [name, to]));
    expect(made).toMatchObject({ 'blk.0.ffn_down.weight': 'Q5_K', 'blk.0.ffn_up.weight': 'Q2_K' });
  });

  it('chooses types within a budget of memory, and shows what it chose by', async () => {
    writeModel(join(home, 'wide.gguf'), { 'output.weight': [4096, 256], 'blk.0.ffn_up.weight': [4096, 560] });
    // Together: 1.05 MiB as Q2_K, 2.6 MiB as Q6_K.
    const args = ['--type', 'Q4_K_M', '--budget', '2'];
    const result = await cli(
      ['quantize', join(home, 'wide.gguf'), join(home, 'budget.gguf'), ...args, '--json'],
      {
        home,
      },
    );
    const { measured, tensors } = JSON.parse(result.stdout);
    const bytes = measured.reduce(
      (sum: number, { chosen, candidates }: Measured) =>
        sum + (candidates.find(({ type }) => type === chosen)?.bytes ?? Number.NaN),
      0,
    );
    expect(bytes).toBeGreaterThan(1.5 * MIB);
    expect(bytes).toBeLessThanOrEqual(2 * MIB);
    for (const { name, chosen, candidates } of measured as Measured[]) {
      expect(tensors).toContainEqual(expect.objectContaining({ name, to: chosen }));
      const errors = candidates.map(({ error }) => error);
      expect(errors).toEqual([...errors].sort((a, b) => b - a));
    }
    const small = await cli(
      ['quantize', join(home, 'wide.gguf'), join(home, 'x.gguf'), ...args.slice(0, 3), '1'],
      {
        home,
      },
    );
    expect(small).toMatchObject({ status: 1, stderr: expect.stringContaining('QUANTIZE_BUDGET') });
  });

  it('counts types that are given, and rows that are no whole super-blocks, in the budget', async () => {
    const path = join(home, 'given.gguf');
    writeModel(path, { 'output.weight': [256, 4096], 'blk.0.ffn_up.weight': [288, 4096] });
    const quantize = async (...args: string[]) => {
      const out = join(home, 'given-out.gguf');
      return cli(['quantize', path, out, '--dry-run', '--json', '--budget', '3', ...args], { home });
    };
    // 4096 rows of 288 values as Q5_0: two super-blocks of Q6_K each, 1.7 MiB.
    const mixed = JSON.parse((await quantize('--type', 'Q4_K_M')).stdout);
    expect(mixed.measured).toHaveLength(1);
    expect(mixed.measured[0].name).toBe('output.weight');
    expect((await quantize('--type', 'Q8_0')).stderr).toContain('QUANTIZE_BUDGET');
    const given = JSON.parse((await quantize('--type', 'Q4_K_M', '--output-tensor-type', 'Q6_K')).stdout);
    expect(given.measured).toEqual([]);
    const ruled = JSON.parse((await quantize('--type', 'Q4_K_M', '--tensor-type', 'output=Q2_K')).stdout);
    expect(ruled.measured).toEqual([]);
    expect(ruled.tensors).toContainEqual(expect.objectContaining({ name: 'output.weight', to: 'Q2_K' }));
  });

  it('writes over neither a source nor somebody’s unfinished file, by whatever name', async () => {
    const unfinished = join(home, 'z.gguf.partial');
    copyFileSync(SOURCE, unfinished);
    symlinkSync(unfinished, join(home, 'link.gguf'));
    const out = join(home, 'z.gguf');
    expect((await cli(['quantize', unfinished, out, '-t', 'Q6_K'], { home })).status).toBe(0);
    const over = await cli(['quantize', unfinished, join(home, 'link.gguf'), '-t', 'Q6_K', '-f'], { home });
    expect(over).toMatchObject({ status: 1, stderr: expect.stringContaining('QUANTIZE_OUTPUT') });
    expect(readFileSync(unfinished).equals(readFileSync(SOURCE))).toBe(true);
    expect(readdirSync(home).filter((name) => name.endsWith('.partial'))).toEqual(['z.gguf.partial']);
  });

  it.each([
    { why: 'a file that is there', args: [SOURCE, SOURCE], code: 'QUANTIZE_OUTPUT' },
    { why: 'an unknown type', args: [SOURCE, 'x.gguf'], type: 'Q9', code: 'QUANTIZE_UNKNOWN_TYPE' },
    { why: 'a missing source', args: ['gone.gguf', 'x.gguf'], code: 'GGUF_READ_FAILED' },
    { why: 'a folder that is not there', args: [SOURCE, 'no/where.gguf'], code: 'GGUF_WRITE_FAILED' },
    {
      why: 'rules without blocks',
      args: [SOURCE, 'x.gguf', '--budget', '9'],
      type: 'F16',
      code: 'QUANTIZE_BAD_RULE',
    },
  ])('refuses $why', async ({ args, type = 'Q3_K_S', code }) => {
    const before = readFileSync(SOURCE);
    const result = await cli(['quantize', ...args, '--type', type], { home });
    expect(result).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining(code) });
    expect(readFileSync(SOURCE).equals(before)).toBe(true);
    expect(existsSync('x.gguf')).toBe(false);
  });

  it('replaces a file with --force, and says only what would be with --dry-run', async () => {
    const out = join(home, 'there.gguf');
    writeFileSync(out, 'old');
    const dry = await cli(['quantize', SOURCE, out, '-t', 'Q6_K', '--dry-run'], { home });
    expect(dry).toMatchObject({ status: 0, stdout: expect.stringContaining('F16 → Q6_K') });
    expect(readFileSync(out, 'utf8')).toBe('old');
    expect((await cli(['quantize', SOURCE, out, '-t', 'Q6_K', '-f'], { home })).status).toBe(0);
    expect(typesIn(out)).toEqual({ [GgmlType.Q6_K]: 7 });
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', null],
    ['SIGHUP', null],
  ] as const)('leaves nothing of a run that %s ends', async (signal, status) => {
    const big = join(home, 'big.gguf');
    writeModel(big, { 'blk.0.attn_q.weight': [4096, 8192] });
    let isAsked = false;
    const cut = await cli(['quantize', big, join(home, 'cut.gguf'), '-t', 'Q4_K_S'], {
      home,
      onError: (text, child) => {
        if (isAsked || !text.startsWith('quantize')) return;
        isAsked = true;
        child.kill(signal);
      },
    });
    expect(cut.status).toBe(status);
    expect(readdirSync(home).filter((name) => name.startsWith('cut'))).toEqual([]);
  });

  it('takes little memory, whatever the size of the model', async () => {
    // Rows of the feed-forward network of a model of 7 billion weights; 344 MiB in all.
    writeModel(join(home, 'rows.gguf'), {
      'blk.0.ffn_down.weight': [11008, 8192],
      'blk.0.ffn_up.weight': [11008, 8192],
    });
    const program = `
      import { quantizeModel } from ${JSON.stringify(new URL('../../sdk/index.js', import.meta.url).href)};
      await quantizeModel('rows.gguf', 'rows-q8.gguf', { type: 'Q8_0' });
      console.log(process.resourceUsage().maxRSS / 1024);`;
    writeFileSync(join(home, 'program.mjs'), program);
    const mib = Number(execFileSync(process.execPath, ['program.mjs'], { cwd: home, encoding: 'utf8' }));
    expect(mib).toBeGreaterThan(30);
    expect(mib).toBeLessThan(200);
  });

  it('pads rows for the core, which is then all that a model needs', async () => {
    const [source, out] = [join('test', 'fixtures', 'families', 'qwen2-f16.gguf'), join(home, 'padded.gguf')];
    expect((await cli(['quantize', source, out, '-t', 'Q6_K', '--pad'], { home })).status).toBe(0);
    expect((await cli(['inspect', out], { home })).stdout).toContain('llama.cpp refuses the file');
    const plan = await cli(['inspect', out, '--board', 'pynq-z1', '--exact-types', '--json'], { home });
    expect(JSON.parse(plan.stdout).runs).toMatchObject({ ok: true, onCore: 1 });
    const file = join(home, 'text.txt');
    writeFileSync(file, 'Once upon a time there was a cat who had a hat. '.repeat(4));
    const args = ['perplexity', file, '-m', out, '--against', source, '-d', 'mock:', '--json'];
    const result = await cli(args, { home });
    const { perplexity, against, ratio } = JSON.parse(result.stdout);
    expect(ratio).toBeCloseTo(perplexity / against.perplexity, 6);
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(1.1);
    expect(perplexity).not.toBe(against.perplexity);
  });

  it('pads nothing for types that the core has not, and says so', async () => {
    const args = ['quantize', SOURCE, 'x.gguf', '--type', 'Q8_0', '--pad'];
    expect(await cli(args, { home })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('QUANTIZE_TYPE'),
    });
    const upload = await cli(['upload', SOURCE, '--pad', '-d', 'mock:'], { home });
    expect(upload.stderr).toContain('--pad goes with --quantize');
  });

  it('quantises on the way of an upload', async () => {
    const result = await cli(['upload', SOURCE, '--quantize', 'q8_0', '--force', '--json'], { home });
    expect(JSON.parse(result.stdout)).toMatchObject({ names: ['model-Q8_0.gguf'] });
  });
});

interface Measured {
  readonly name: string;
  readonly chosen: string;
  readonly candidates: readonly { readonly type: string; readonly bytes: number; readonly error: number }[];
}
