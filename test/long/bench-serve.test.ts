import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { XMLValidator } from 'fast-xml-parser';
import { afterAll, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../system/support/agent.js';
import { cli, jsonLines } from '../system/support/cli.js';

const directory = temporaryDirectory();
const home = directory.path;
afterAll(() => directory[Symbol.dispose]());

interface Served {
  readonly report: {
    readonly tokens: number;
    readonly coreCyclesPerToken: number;
    readonly classes: Record<
      'interactive' | 'batch',
      { requests: number; errors: object; firstToken: Record<'p50' | 'p99', number> }
    >;
  };
  readonly requests: readonly { at: number; class: string; outputTokens: number; tokenTimes: number[] }[];
}

const LOAD = ['--seconds', '2', '--rate', '6', '--prompt-tokens', '8', '--output-tokens', '6'];

describe('bench serve', () => {
  it('reports every request by class, and draws the times', async () => {
    const svg = join(home, 'times.svg');
    const result = await cli(['bench', 'serve', ...LOAD, '--svg', svg, '--json'], { home });
    expect(result.status).toBe(0);
    const [{ report, requests }] = jsonLines<Served>(result);
    const { interactive, batch } = report.classes;
    expect(interactive.requests + batch.requests).toBe(requests.length);
    expect(Math.min(interactive.requests, batch.requests)).toBeGreaterThan(0);
    expect(interactive.errors).toEqual({});
    expect(interactive.firstToken.p99).toBeGreaterThanOrEqual(interactive.firstToken.p50);
    expect(report.tokens).toBe(requests.reduce((sum, { tokenTimes }) => sum + tokenTimes.length, 0));
    // Columns that share a step are cheaper than one, and prompts cost too.
    expect(report.coreCyclesPerToken).toBeGreaterThan(10_000);
    const picture = readFileSync(svg, 'utf8');
    expect(XMLValidator.validate(picture)).toBe(true);
    expect(picture).toContain('interactive');
  });

  it('gives the same requests for the same seed, others for another', async () => {
    const run = async (seed: string) => {
      const result = await cli(['bench', 'serve', ...LOAD, '--seed', seed, '--json'], { home });
      return jsonLines<Served>(result)[0]!.requests.map(({ at, outputTokens }) => [at, outputTokens]);
    };
    const [first, again, other] = await Promise.all([run('5'), run('5'), run('6')]);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('says before it begins that the picture has no place, and what a flag may be', async () => {
    const long = ['bench', 'serve', '--seconds', '600'];
    const nowhere = await cli([...long, '--svg', join(home, 'none', 'times.svg')], { home });
    expect(nowhere.status).not.toBe(0);
    expect(nowhere.stderr).toContain('CLI_FILE_UNWRITABLE');
    expect(nowhere.milliseconds).toBeLessThan(15_000);
    const wrong = await cli(['bench', 'serve', '--rate', 'often'], { home });
    expect(wrong.status).not.toBe(0);
    expect(wrong.stderr).toContain('--rate');
  });
});
