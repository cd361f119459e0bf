import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, cliServer } from './support/cli.js';

const has = (program: string) => spawnSync(program, ['--version']).error === undefined;
const noPromtool = has('promtool') ? undefined : 'promtool is not installed (apt: prometheus)';
const noAnalyze = has('systemd-analyze') ? undefined : 'systemd-analyze is not installed';

const home = temporaryDirectory();
let server: AgentProcess;
let metrics: string;
beforeAll(async () => {
  const args = ['serve', '--device', 'mock:', '--port', '0', '-m', TINY_MODEL];
  server = await cliServer(args, { home: home.path });
  const scrape = async () => (await fetch(server.url.replace(/v1$/, 'metrics'))).text();
  // Hardware counters are counted from the first time on that somebody asks.
  await scrape();
  const ask = (body: object) =>
    fetch(`${server.url}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Once upon a time', ...body }),
    }).then((answer) => answer.text());
  await ask({ max_tokens: 5 });
  await ask({ max_tokens: -5 });
  metrics = await scrape();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

/** Metrics that have values, those of histograms by their names. */
const withValues = () =>
  new Set([...metrics.matchAll(/^(pynq_llm_\w+?)(?:_bucket)?[{ ]/gm)].map(([, name]) => name));

it('metrics name the build, the board, its model, and what the units of the core did', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  expect(metrics).toContain(`pynq_llm_build_info{version="${version}",node="${process.version}",platform=`);
  expect(metrics).toMatch(
    /^pynq_llm_board_info\{board="pynq-z1",title="[^"]+",revision="v3",timing="synthesised"\} 1$/m,
  );
  expect(metrics).toMatch(/^pynq_llm_model_info\{model="[0-9a-f]{64}",name="[^"]+"\} 1$/m);
  expect(metrics).toMatch(/^pynq_llm_core_clock_hertz 100000000$/m);
  expect(metrics).toMatch(/^pynq_llm_unit_cycles_total\{unit="compute",state="\w+"\} [1-9]\d*$/m);
  expect(metrics).toMatch(/^pynq_llm_device_dma_bytes_total\{direction="to_device"\} [1-9]\d*$/m);
  expect(metrics).toMatch(/^pynq_llm_device_multiply_adds_total [1-9]\d*$/m);
});

it.skipIf(noPromtool)(`metrics are as Prometheus wants them${noPromtool ? ` (${noPromtool})` : ''}`, () => {
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: metrics, encoding: 'utf8' });
  expect(checked.stderr + checked.stdout).toBe('');
  expect(checked.status).toBe(0);
  const config = ['check', 'config', '--syntax-only', 'docs/monitoring/prometheus.yml'];
  expect(spawnSync('promtool', config, { encoding: 'utf8' })).toMatchObject({ status: 0 });
});

it('metrics that the dashboard asks for are there, and all are in the table of the docs', () => {
  const dashboard = readFileSync('docs/monitoring/grafana-dashboard.json', 'utf8');
  const { panels } = JSON.parse(dashboard);
  expect(panels.length).toBeGreaterThan(10);
  const asked = [...dashboard.matchAll(/pynq_llm_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''));
  const there = withValues();
  expect(asked.filter((name) => !there.has(name))).toEqual([]);
  const docs = readFileSync('docs/http-api.md', 'utf8');
  const types = [...metrics.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
  expect(types.filter((name) => !docs.includes(`\`${name}`))).toEqual([]);
  const named = [...docs.matchAll(/`(pynq_llm_\w+)/g)].map(([, name]) => name);
  expect(named.filter((name) => !types.includes(name))).toEqual([]);
});

it.skipIf(noPromtool)(
  `queries of the dashboard are ones that Prometheus takes${noPromtool ? ` (${noPromtool})` : ''}`,
  () => {
    const { panels } = JSON.parse(readFileSync('docs/monitoring/grafana-dashboard.json', 'utf8'));
    const queries: string[] = panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
      targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m')),
    );
    const file = join(home.path, 'rules.yml');
    const rules = queries.map((expr, i) => `  - record: q${i}\n    expr: ${JSON.stringify(expr)}\n`).join('');
    writeFileSync(file, `groups:\n- name: dashboard\n  rules:\n${rules}`);
    const checked = spawnSync('promtool', ['check', 'rules', '--lint=none', file], { encoding: 'utf8' });
    expect(checked).toMatchObject({ status: 0 });
    expect(checked.stdout).toContain(`${queries.length} rules found`);
  },
);

it.skipIf(noAnalyze)(`the unit is one that systemd takes${noAnalyze ? ` (${noAnalyze})` : ''}`, () => {
  const unit = join(home.path, 'pynq-llm-serve.service');
  writeFileSync(unit, readFileSync('docs/monitoring/pynq-llm-serve.service'));
  const checked = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  expect(checked.stderr.split('\n').filter((line) => line.includes('pynq-llm-serve'))).toEqual([]);
  expect(checked.status).toBe(0);
});

it('the unit’s command line is one that serve knows', () => {
  const unit = readFileSync('docs/monitoring/pynq-llm-serve.service', 'utf8');
  const [, line] = /^ExecStart=\/usr\/bin\/env pynq-llm (serve .*)$/m.exec(unit) ?? [];
  const keys = join(home.path, 'keys');
  writeFileSync(keys, 'too-short\n');
  // biome-ignore lint/suspicious/noTemplateCurlyInString: systemd's own
  const args = line.replace('${CREDENTIALS_DIRECTORY}/keys', keys).split(' ');
  const ran = spawnSync(process.execPath, ['dist/cli/main.js', ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: home.path, PYNQ_LLM_DEVICE: 'mock:' },
    timeout: 30_000,
  });
  // It got as far as reading the keys.
  expect(ran.stderr).toMatch(/CLI_BAD_ARGUMENT.*16 characters/);
});
