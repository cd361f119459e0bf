import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/description-file.js';
import { bitFile, IDCODE_XCK26, partialConfiguration } from '../unit/firmware-bridge/support/bitstreams.js';
import { handoff } from '../unit/firmware-bridge/support/handoffs.js';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const home = temporaryDirectory();
afterAll(() => home[Symbol.dispose]());
const bitstream = (bytes: Uint8Array, ...options: string[]) => {
  const file = join(home.path, 'file');
  writeFileSync(file, bytes);
  return cli(['bitstream', file, ...options], { home: home.path });
};

it('a handoff of a later Vivado becomes a board file on standard output, and warnings beside it', async () => {
  const { status, stdout, stderr } = await bitstream(handoff({ vivado: '2025.2' }), '--board-file');
  const path = join(home.path, 'board.toml');
  writeFileSync(path, stdout);
  expect(loadBoardDescription(path)).toMatchObject({ clockHz: 199_998_001, dma: { interrupts: false } });
  expect(stderr).toMatch(/^warning: Vivado 2025\.2: .*\nwarning: Revision v3 .* assumption.*\n$/);
  expect(status).toBe(0);
});

it('--json has the warnings in it', async () => {
  const { stdout, stderr } = await bitstream(handoff({ vivado: '2025.2' }), '--json');
  expect(JSON.parse(stdout).warnings).toHaveLength(2);
  expect(stderr).toBe('');
});

it.each([
  [
    'a handoff without the core',
    handoff({ core: { type: 'MatMul' } }),
    'FIRMWARE_HANDOFF_UNSUPPORTED',
    /no modules of type BFP_Acc/,
  ],
  [
    'a partial bitstream',
    bitFile('xck26-sfvc784-2LV-c', partialConfiguration(IDCODE_XCK26)),
    'FIRMWARE_BITSTREAM_PARTIAL',
    /for a part of an FPGA only/,
  ],
])('%s is refused by code, with nothing on standard output', async (_, bytes, code, why) => {
  const { status, stdout, stderr } = await bitstream(bytes);
  expect(stderr).toContain(code);
  expect(stderr).toMatch(why);
  expect(stdout).toBe('');
  expect(status).toBeGreaterThan(0);
});
