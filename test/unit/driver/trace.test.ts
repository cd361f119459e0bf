import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { recordBoard } from '../../../driver/trace/record.js';
import { replayTrace } from '../../../driver/trace/replay.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { golden, load, multiply } from './golden.js';

const z1 = loadBoardDescription('pynq-z1');
const kv260 = loadBoardDescription('kv260');

/** A trace of two programs, one resident and one staged, multiplied twice. */
function record(description = z1): string[] {
  const lines: string[] = [];
  const accelerator = new Accelerator(recordBoard(openMockBoard(description), (line) => lines.push(line)));
  for (const placement of ['resident', 'staged'] as const) {
    const vector = golden('q3_15');
    const program = load(accelerator, vector, placement);
    for (let i = 0; i < 2; i++) expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
    accelerator.unload(program);
  }
  accelerator.close();
  return lines;
}

describe('a trace', () => {
  it('replays without a difference on a fresh device and leaves no buffer behind', () => {
    const lines = record();
    const board = openMockBoard(z1);
    const { free } = board.dmaMemory();
    expect(replayTrace(lines, board)).toEqual({ events: lines.length - 1, difference: undefined });
    expect(board.dmaMemory().free).toBe(free);
  });

  it('replays on a board with other addresses', () => {
    const lines = record();
    expect(lines.some((line) => line.includes('"register":"MM2S_SA","value":{"buffer":'))).toBe(true);
    expect(replayTrace(lines, openMockBoard(kv260)).difference).toBeUndefined();
  });

  it('says where a device first did something else', () => {
    const lines = record();
    const at = lines.findIndex((line) => line.includes('"event":"result"'));
    const event = JSON.parse(lines[at]);
    const bytes = Buffer.from(event.bytes, 'base64');
    const expected = `0x${(bytes[5] ^ 1).toString(16)}`;
    const got = `0x${bytes[5].toString(16)}`;
    bytes[5] ^= 1;
    lines[at] = JSON.stringify({ ...event, bytes: bytes.toString('base64') });
    expect(replayTrace(lines, openMockBoard(z1)).difference).toEqual({
      line: at + 2,
      what: `byte ${event.at + 5} of buffer ${event.buffer}`,
      expected,
      got,
    });
  });

  it('finds results that changed where the trace says that nothing did', () => {
    const lines = record();
    // Weights of a lane, not instructions.
    const second = lines.findLastIndex((line) => line.includes('"event":"data"') && line.length > 1000);
    const event = JSON.parse(lines[second]);
    const bytes = Buffer.from(event.bytes, 'base64');
    bytes[Math.floor(bytes.length * 0.3)] ^= 0x10;
    lines[second] = JSON.stringify({ ...event, bytes: bytes.toString('base64') });
    expect(replayTrace(lines, openMockBoard(z1)).difference).toBeDefined();
  });

  it('of a fault replays as a difference on a device without it', () => {
    const lines: string[] = [];
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(recordBoard(board, (line) => lines.push(line)));
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'resident');
    board.injectFault({ name: 'dma-decode-error', lane: 2 });
    expect(() => multiply(accelerator, program, vector)).toThrow(/DRIVER_DMA_DECODE_ERROR/);
    expect(lines.some((line) => line === '{"event":"faults","names":["dma-decode-error"]}')).toBe(true);
    const { difference } = replayTrace(lines, openMockBoard(z1));
    expect(difference).toMatchObject({ what: expect.stringMatching(/DMASR$/) });
  });

  it.each([
    ['is empty', () => [], /DRIVER_BAD_TRACE.*empty/],
    ['has no header', () => record().slice(1), /DRIVER_BAD_TRACE.*Line 1/],
    ['is not JSON', () => [record()[0], 'hello'], /DRIVER_BAD_TRACE.*Line 2.*not JSON/],
    [
      'uses a buffer that was not allocated',
      () => [record()[0], '{"event":"give-device","buffer":7}'],
      /buffer 7 was not allocated/,
    ],
    [
      'uses an unknown register',
      () => [record()[0], '{"event":"write","window":"dma0","register":"X","value":1}'],
      /no register dma0 X/,
    ],
    [
      'writes past a buffer',
      () => [
        record()[0],
        '{"event":"allocate","buffer":1,"bytes":4}',
        '{"event":"data","buffer":1,"at":2,"bytes":"AAAA"}',
      ],
      /has only 4 bytes/,
    ],
  ])('that %s is refused', (_, lines, message) => {
    expect(() => replayTrace(lines(), openMockBoard(z1))).toThrow(message);
  });

  it('of another core revision is refused', () => {
    expect(() => replayTrace(record(), openMockBoard(loadBoardDescription('pynq-z1-v1')))).toThrow(
      /DRIVER_TRACE_MISMATCH.*v3.*4 lanes/,
    );
  });

  it('with a wait beyond all reason is refused, and the clock keeps counting single cycles', () => {
    const board = openMockBoard(z1);
    const [header] = record();
    const lines = [header, '{"event":"timeout","timeoutUs":1e300}'];
    expect(() => replayTrace(lines, board)).toThrow(/DRIVER_BAD_TRACE/);
    expect(board.cycles).toBe(0);
  });

  it('takes NaN results for one class, and nothing else for a NaN', () => {
    const resultOf = (bytes: number[]) => [
      JSON.stringify({ trace: 'pynq-llm', version: 1, board: 'x', revision: 'v3', lanes: 4, windows: [] }),
      '{"event":"allocate","buffer":1,"bytes":64}',
      `{"event":"data","buffer":1,"at":4,"bytes":"${Buffer.from([1, 0, 0xc0, 0xff]).toString('base64')}"}`,
      '{"event":"give-device","buffer":1}',
      '{"event":"give-cpu","buffer":1}',
      `{"event":"result","buffer":1,"at":4,"bytes":"${Buffer.from(bytes).toString('base64')}"}`,
    ];
    const replay = (bytes: number[]) => replayTrace(resultOf(bytes), openMockBoard(z1)).difference;
    expect(replay([0, 0, 0xc0, 0x7f])).toBeUndefined();
    expect(replay([0, 0, 0x80, 0x7f])).toMatchObject({ what: 'byte 4 of buffer 1' });
  });
});
