import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HttpAgent, PROMPT, startHttpFleet, TINY, TOKENS } from './support/http-agent.js';

const noPromtool =
  spawnSync('promtool', ['--version']).error === undefined
    ? undefined
    : 'promtool is not installed (apt: prometheus)';

let http: HttpAgent;
beforeAll(async () => {
  http = await startHttpFleet();
});
afterAll(() => http?.[Symbol.asyncDispose]());

it('a fleet says that it is healthy, and what its boards do, in the metrics of the docs', async () => {
  expect((await fetch(`${http.url}/health`)).status).toBe(200);
  await http.openai.completions.create({ model: TINY, prompt: PROMPT, max_tokens: 3, seed: 1 });
  const headers = { authorization: `Bearer ${TOKENS.read}` };
  const metrics = await (await fetch(`${http.url}/metrics`, { headers })).text();
  for (const board of ['mock-1', 'mock-2', 'mock-3', 'mock-4']) {
    expect(metrics).toContain(`pynq_llm_board_info{board="${board}",title="PYNQ-Z1`);
    for (const [series, value] of [
      ['up', '1'],
      ['models', '1'],
      ['places', '8'],
      ['restarts_total', '0'],
      ['steps_total', '\\d+'],
      ['core_cycles_total', '\\d+'],
      ['core_clock_hertz', '100000000'],
    ])
      expect(metrics).toMatch(
        new RegExp(`^pynq_llm_fleet_board_${series}\\{board="${board}"\\} ${value}$`, 'm'),
      );
    expect(metrics).toContain(`pynq_llm_fleet_board_state{board="${board}",state="ready"} 1\n`);
    expect(metrics).toContain(`pynq_llm_fleet_board_dma_bytes_total{board="${board}",direction="to_device"}`);
  }
  expect(metrics).not.toContain('pynq_llm_dma_memory_free_bytes');
  expect(metrics).toMatch(/^pynq_llm_fleet_tokens_total 3$/m);
  expect(metrics).toMatch(/^pynq_llm_generations_total\{class="interactive",outcome="finished"\} 1$/m);
  const docs = readFileSync('docs/fleet.md', 'utf8');
  const there = [...metrics.matchAll(/^# TYPE (pynq_llm_fleet_\w+)/gm)].map(([, name]) => name);
  const named = [...docs.matchAll(/`(pynq_llm_fleet_\w+)/g)].map(([, name]) => name);
  expect(there.toSorted()).toEqual([...new Set(named)].toSorted());
  // Three tokens, whichever board they came from.
  const tokens = [...metrics.matchAll(/^pynq_llm_fleet_board_tokens_total\{.*\} (\d+)$/gm)];
  expect(tokens.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(3);
});

it.skipIf(noPromtool)(
  `metrics are as Prometheus wants them${noPromtool ? ` (${noPromtool})` : ''}`,
  async () => {
    const headers = { authorization: `Bearer ${TOKENS.read}` };
    const input = await (await fetch(`${http.url}/metrics`, { headers })).text();
    const checked = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
    expect(checked.stderr + checked.stdout).toBe('');
    expect(checked.status).toBe(0);
  },
);
