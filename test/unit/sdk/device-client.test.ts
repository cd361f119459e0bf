import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { BoardInfo, Params } from '../../../protocol/index.js';
import { DeviceClient } from '../../../sdk/device-client.js';
import { temporaryDirectory } from '../../system/support/agent.js';
import { scriptedAgent } from './scripted-agent.js';

const INFO: BoardInfo = {
  device: 'scripted',
  description: {
    name: 'scripted',
    title: 'Scripted',
    architecture: 'armv7',
    revision: 'v3',
    timing: 'systemc',
    unpack: 'words',
    clockHz: 1,
    weightTypes: [],
    windows: {},
    dma: { lanes: 4, lengthBits: 23 },
    dmaMemory: [],
    memoryBytes: 1,
    capacity: { weightBlocks: 1, inputBlocks: 1 },
  },
  agent: '1',
  node: 'v20',
  platform: 'linux',
  protocol: { major: 3, minor: 0 },
  capabilities: [],
  uptimeMs: 0,
};
const PASSED = { passed: true, bitMismatches: 0, counterMismatches: 0, cycleMismatches: 0, details: [] };

const folder = temporaryDirectory();
afterAll(() => folder[Symbol.dispose]());
writeFileSync(join(folder.path, 'secret.txt'), 'nobody asked for this');
const vectors = join(folder.path, 'vectors');
mkdirSync(vectors);
writeFileSync(join(vectors, 'index.json'), '{}');
writeFileSync(join(vectors, 'small.bin'), 'small');
writeFileSync(join(vectors, 'large.bin'), '');
truncateSync(join(vectors, 'large.bin'), 8 * 2 ** 20);
writeFileSync(join(vectors, 'huge.bin'), '');
truncateSync(join(vectors, 'huge.bin'), 2 ** 40);

/** Runs the self-test against an agent that wants these files for a check each; `sent` is what it got. */
async function selfTest(files: readonly string[], directory = vectors) {
  const sent: string[] = [];
  const agent = scriptedAgent(({ method, params }) => {
    if (method === 'board.info') return INFO;
    if (method === 'device.addFile') {
      const { offset, data } = params as Params<'device.addFile'>;
      sent.push(`${data.length} bytes at ${offset}`);
      return {};
    }
    if (method === 'device.listChecks')
      return { checks: files.map((file) => ({ name: `check ${file}`, files: [file], check: '{}' })) };
    for (const { data } of (params as Params<'device.runCheck'>).files)
      sent.push(Buffer.from(data).toString());
    return { name: 'check', ...PASSED };
  });
  const connection = await agent.connect();
  const outcome = await new DeviceClient(connection).selfTest(directory).catch((error: unknown) => error);
  await connection.close();
  return { outcome, sent, methods: agent.calls.map(({ method }) => method) };
}

describe('a self-test', () => {
  it('sends the files that its checks need', async () => {
    const { outcome, sent } = await selfTest(['small.bin', './small.bin']);
    expect(outcome).toMatchObject({ cases: 2, passed: 2 });
    expect(sent).toEqual(['small', 'small']);
  });

  it('sends a vector that fits no frame in pieces', async () => {
    const { outcome, sent, methods } = await selfTest(['large.bin', 'small.bin']);
    expect(outcome).toMatchObject({ cases: 2, passed: 2 });
    expect(sent).toEqual([
      ...Array.from({ length: 8 }, (_, i) => `${2 ** 20} bytes at ${i * 2 ** 20}`),
      'small',
    ]);
    expect(methods.lastIndexOf('device.addFile')).toBeLessThan(methods.indexOf('device.runCheck'));
  });

  it('counts a vector that no board has memory for as a check that did not pass, and goes on', async () => {
    const { outcome, sent } = await selfTest(['huge.bin', 'small.bin']);
    expect(outcome).toMatchObject({ cases: 2, passed: 1, bitMismatches: 0 });
    expect(sent).toEqual(['small']);
  });

  it('refuses lists that fit no frame', async () => {
    const lists = join(folder.path, 'lists');
    mkdirSync(lists);
    writeFileSync(join(lists, 'streams.json'), `[${' '.repeat(8 * 2 ** 20)}]`);
    expect((await selfTest([], lists)).outcome).toMatchObject({ code: 'SDK_VECTORS_TOO_LARGE' });
  });

  it.each(['../secret.txt', '/etc/hostname', '..', 'vectors/../../secret.txt', ''])(
    'lets an agent that asks for "%s" have nothing',
    async (file) => {
      const { outcome, sent } = await selfTest([file, 'small.bin']);
      expect(outcome).toMatchObject({ cases: 2, passed: 1 });
      expect(sent).toEqual(['small']);
    },
  );
});
