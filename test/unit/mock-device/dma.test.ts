import { describe, expect, it } from 'vitest';
import { DMACR, DMASR } from '../../../board/registers/axi-dma.js';
import { bytesOf, Poker } from './harness.js';

const NO_OPS = bytesOf([0, 0, 0, 0]);

describe('an AXI DMA channel', () => {
  it('is halted after a reset, and LENGTH does nothing then', () => {
    const poker = new Poker('v3');
    poker.write(0, 'MM2S_DMACR', DMACR.RESET);
    poker.board.waitUntil(() => false, 1);
    expect(poker.read(0, 'MM2S_DMASR') & (DMASR.HALTED | DMASR.IDLE)).toBe(DMASR.HALTED);
    poker.send(0, NO_OPS);
    expect(poker.sent(0, 10)).toBe(false);
    expect(poker.read(0, 'MM2S_LENGTH')).toBe(0);
  });

  it('shows the reset bit until the reset of both channels is over', () => {
    const poker = new Poker('v3');
    poker.write(1, 'S2MM_DMACR', DMACR.RESET);
    expect(poker.read(1, 'MM2S_DMACR') & DMACR.RESET).toBe(DMACR.RESET);
    poker.write(1, 'MM2S_DMACR', DMACR.RUN);
    expect(poker.board.waitUntil(() => (poker.read(1, 'S2MM_DMACR') & DMACR.RESET) === 0, 1)).toBe(true);
    expect(poker.read(1, 'MM2S_DMACR') & DMACR.RUN).toBe(0);
  });

  it('is neither idle nor halted before its first transfer and while one runs', () => {
    const poker = new Poker('v3');
    expect(poker.read(0, 'MM2S_DMASR') & (DMASR.HALTED | DMASR.IDLE)).toBe(0);
    poker.send(0, NO_OPS);
    expect(poker.read(0, 'MM2S_DMASR') & (DMASR.HALTED | DMASR.IDLE | DMASR.IOC_IRQ)).toBe(0);
    expect(poker.sent(0)).toBe(true);
    expect(poker.read(0, 'MM2S_DMASR') & (DMASR.HALTED | DMASR.IDLE | DMASR.IOC_IRQ)).toBe(
      DMASR.IDLE | DMASR.IOC_IRQ,
    );
  });

  it('keeps the completion bit until 1 is written to it', () => {
    const poker = new Poker('v3');
    poker.send(0, NO_OPS);
    poker.sent(0);
    poker.write(0, 'MM2S_DMASR', DMASR.ERR_IRQ);
    expect(poker.read(0, 'MM2S_DMASR') & DMASR.IOC_IRQ).toBe(DMASR.IOC_IRQ);
    poker.write(0, 'MM2S_DMASR', DMASR.IOC_IRQ);
    expect(poker.read(0, 'MM2S_DMASR') & DMASR.IOC_IRQ).toBe(0);
  });

  it('finishes its transfer after the run bit is cleared and is halted then', () => {
    const poker = new Poker('v3');
    poker.send(0, NO_OPS);
    poker.write(0, 'MM2S_DMACR', 0);
    expect(poker.read(0, 'MM2S_DMASR') & DMASR.HALTED).toBe(0);
    poker.board.waitUntil(() => false, 10);
    expect(poker.read(0, 'MM2S_DMASR') & (DMASR.HALTED | DMASR.IOC_IRQ)).toBe(DMASR.HALTED | DMASR.IOC_IRQ);
  });

  it('takes only as many bits of LENGTH as the engine was built with', () => {
    const poker = new Poker('v3', { dma: { lanes: 4, lengthBits: 14 } });
    const buffer = poker.buffer(32_768);
    poker.write(0, 'MM2S_SA', buffer.physicalAddress);
    poker.write(0, 'MM2S_LENGTH', 16_384 + 8);
    expect(poker.read(0, 'MM2S_LENGTH')).toBe(8);
  });

  it.each([
    ['a LENGTH of 0', 0x1800_0000, 0, DMASR.INTERNAL_ERROR, 'dma-internal-error'],
    ['a part of a word', 0x1800_0000, 6, DMASR.INTERNAL_ERROR, 'dma-internal-error'],
    ['an address below DMA memory', 0x1000_0000, 64, DMASR.DECODE_ERROR, 'dma-decode-error'],
    [
      'a range over the end of DMA memory',
      0x1800_0000 + (16 << 20) - 4,
      8,
      DMASR.DECODE_ERROR,
      'dma-decode-error',
    ],
  ] as const)('halts with an error for %s', (_, address, length, bit, fault) => {
    const poker = new Poker('v3');
    poker.write(2, 'MM2S_SA', address);
    poker.write(2, 'MM2S_LENGTH', length);
    const status = poker.read(2, 'MM2S_DMASR');
    expect(status & (bit | DMASR.ERR_IRQ | DMASR.HALTED)).toBe(bit | DMASR.ERR_IRQ | DMASR.HALTED);
    expect(poker.read(2, 'MM2S_DMACR') & DMACR.RUN).toBe(0);
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual([fault]);
  });

  it('has no memory above 4 GiB', () => {
    const poker = new Poker('v3');
    const buffer = poker.buffer(NO_OPS);
    poker.write(0, 'MM2S_SA_MSB', 1);
    poker.sendBuffer(0, buffer);
    expect(poker.read(0, 'MM2S_DMASR') & DMASR.DECODE_ERROR).toBe(DMASR.DECODE_ERROR);
  });

  it('ignores LENGTH while a transfer runs, and the hazard is named', () => {
    const poker = new Poker('v3');
    poker.send(1, NO_OPS);
    poker.send(1, NO_OPS);
    expect(poker.board.takeFaults()).toEqual([
      { name: 'hazard', detail: 'dma1 mm2s: LENGTH was written while a transfer ran' },
    ]);
  });

  it('works again after the reset that an error needs', () => {
    const poker = new Poker('v3');
    poker.write(0, 'MM2S_LENGTH', 0);
    poker.startChannels();
    poker.send(0, NO_OPS);
    expect(poker.sent(0)).toBe(true);
  });
});

describe('register windows', () => {
  it.each([
    ['DRIVER_ADDRESS_OUT_OF_RANGE', 0x1_0000],
    ['DRIVER_ADDRESS_OUT_OF_RANGE', -4],
    ['DRIVER_UNALIGNED_ADDRESS', 0x26],
  ])('answer with %s at offset %i', (code, offset) => {
    const poker = new Poker('v3');
    expect(() => poker.board.window('control').read32(offset)).toThrow(code);
    expect(() => poker.board.window('dma0').write32(offset, 1)).toThrow(code);
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['bus-error', 'bus-error']);
  });

  it('exist only where the description declares them', () => {
    expect(() => new Poker('v1').board.window('dma1')).toThrow('DRIVER_UNKNOWN_WINDOW');
  });

  it('are gone when the board is closed', () => {
    const { board } = new Poker('v1');
    const window = board.window('control');
    board.close();
    expect(() => window.read32(0x24)).toThrow('MOCK_CLOSED');
  });

  it('with addresses of 32 bits has no upper word, and whole words only', () => {
    const dma = { lanes: 4, lengthBits: 26, alignment: 4, addressBits: 32, interrupts: false } as const;
    const poker = new Poker('v3', { dma });
    poker.write(0, 'MM2S_SA_MSB', 1);
    expect(poker.read(0, 'MM2S_SA_MSB')).toBe(0);
    poker.send(0, [0]);
    expect(poker.sent(0)).toBe(true);
    poker.write(0, 'MM2S_SA', 0x1800_0002);
    poker.write(0, 'MM2S_LENGTH', 4);
    expect(poker.read(0, 'MM2S_DMASR') & DMASR.INTERNAL_ERROR).not.toBe(0);
  });

  it.each([
    [true, 0, 1],
    [false, 900, 1001],
  ])(
    'with interrupts %s, a driver that waits for another lane sees an error after %i to %i us',
    (interrupts, from, to) => {
      const poker = new Poker('v3', { dma: { lanes: 4, lengthBits: 26, interrupts } });
      poker.write(1, 'MM2S_DMACR', DMACR.RUN | DMACR.IOC_IRQ_EN | DMACR.ERR_IRQ_EN);
      poker.arm(64);
      const started = poker.board.now();
      poker.write(1, 'MM2S_SA', 0);
      poker.write(1, 'MM2S_LENGTH', 4);
      let asked = 0;
      const seen = poker.board.waitUntil(() => {
        poker.read(0, 'S2MM_DMASR');
        return ++asked > 1;
      }, 50_000);
      expect(seen).toBe(true);
      const took = poker.board.now() - started;
      expect(took).toBeGreaterThanOrEqual(from);
      expect(took).toBeLessThan(to);
    },
  );
});
