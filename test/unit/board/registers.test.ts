import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import {
  AXI_DMA_REGISTERS,
  CONTROL_TABLES,
  counterMap,
  decodeRegister,
  fieldMask,
  hwcTable,
  listRegisters,
  monitorsOf,
  type RegisterTable,
  registerAt,
  statusOffset,
  windowTable,
} from '../../../board/registers/index.js';

const z1 = loadBoardDescription('pynq-z1');
const v1 = loadBoardDescription('pynq-z1-v1');
const v3of2026 = loadBoardDescription('kv260-2026-v3');
const v4 = loadBoardDescription('kv260-2026-v4');

describe('register tables', () => {
  it('place monitor 14 and status 7 where the manual does', () => {
    expect(counterMap(z1).registers[14]).toEqual({ target: 0x16c, count: 0x174, state: 0x17c });
    expect(statusOffset(7)).toBe(0x5c);
    expect(hwcTable(z1).registers.INPUT_LOAD_COUNT.offset).toBe(0x174);
    expect(CONTROL_TABLES.v1.registers.STATUS_INPUT_LOADER.offset).toBe(0x24 + 8 * 8);
  });

  it('have 15 monitors on v3 and 5 on v1', () => {
    expect([monitorsOf(z1).length, monitorsOf(v1).length]).toEqual([15, 5]);
    expect(Object.keys(hwcTable(z1).registers)).toHaveLength(1 + 3 * 15);
    expect(Object.keys(hwcTable(v1).registers)).toHaveLength(1 + 3 * 5);
  });

  it('have the reset before the monitors in designs before 2026', () => {
    expect(counterMap(z1).reset).toBe(0x14);
    expect(counterMap(z1).registers[0]).toEqual({ target: 0x1c, count: 0x24, state: 0x2c });
  });

  it.each([
    [v3of2026, 13, 0x14c, 'compute'],
    [v4, 14, 0x164, 'softmax-unit'],
  ])('have $0.name: the reset behind the monitors, and no monitors of loads', (board, count, reset, last) => {
    const map = counterMap(board);
    expect(map.monitors.map(({ name }) => name)).toHaveLength(count);
    expect(map.monitors.at(-1)?.name).toBe(last);
    expect(map.reset).toBe(reset);
    expect(map.registers[0]).toEqual({ target: 0x14, count: 0x1c, state: 0x24 });
    expect(map.registers[12]).toEqual({ target: 0x134, count: 0x13c, state: 0x144 });
    expect(map.monitors.some(({ name }) => /load$/.test(name))).toBe(false);
    expect(hwcTable(board).registers.RESET.offset).toBe(reset);
  });

  it('know no counters of a design that never was', () => {
    expect(() => counterMap({ revision: 'v4', hwc: { layout: 'reset-first', monitors: 15 } })).toThrow(
      /DRIVER_BOARD_FILE_INVALID.*14 monitors in the layout reset-last/,
    );
  });

  it('say that an idle core shows the reset values of its status registers', () => {
    const values = Object.entries(CONTROL_TABLES.v1.registers)
      .filter(([name]) => name.startsWith('STATUS'))
      .map(([, register]) => register.reset);
    expect(values).toEqual([1, 1, 1, 1, 0, 0, 0, 1, 1]);
  });

  it.each<RegisterTable>([
    ...Object.values(CONTROL_TABLES),
    ...[z1, v1, v3of2026, v4].map(hwcTable),
    { title: 'AXI DMA', registers: AXI_DMA_REGISTERS },
  ])('of $title have aligned offsets, each once, and fields that do not overlap', ({ registers }) => {
    const offsets = Object.values(registers).map(({ offset }) => offset);
    expect(offsets.every((offset) => offset % 4 === 0)).toBe(true);
    expect(new Set(offsets).size).toBe(offsets.length);
    for (const { fields = {} } of Object.values(registers)) {
      let used = 0n;
      for (const field of Object.values(fields)) {
        const mask = BigInt(fieldMask(field));
        expect(used & mask).toBe(0n);
        used |= mask;
      }
    }
  });

  it('decode a status value into named fields', () => {
    const fields = decodeRegister(AXI_DMA_REGISTERS.S2MM_DMASR, 0x0001_5041);
    expect(fields.filter(({ value }) => value !== 0)).toEqual([
      { name: 'HALTED', value: 1 },
      { name: 'DMA_DEC_ERR', value: 1 },
      { name: 'IOC_IRQ', value: 1 },
      { name: 'ERR_IRQ', value: 1 },
      { name: 'IRQ_THRESHOLD_STATUS', value: 1 },
    ]);
  });

  it('name the states of a unit', () => {
    expect(decodeRegister(hwcTable(z1).registers.SCHEDULER_STATE, 31)).toEqual([
      { name: 'STATE', value: 31, label: 'start-handshake' },
    ]);
    expect(decodeRegister(hwcTable(z1).registers.SCHEDULER_STATE, 0xffff_ffff)).toEqual([
      { name: 'STATE', value: 0xffff_ffff },
    ]);
  });
});

describe('the allow-list', () => {
  it('holds the registers of all declared windows at their physical addresses', () => {
    const list = listRegisters(z1);
    expect(list.find(({ window, name }) => window === 'dma2' && name === 'S2MM_LENGTH')?.address).toBe(
      0x4042_0058,
    );
    expect(new Set(list.map(({ window }) => window))).toEqual(
      new Set(['control', 'hwc', 'dma0', 'dma1', 'dma2', 'dma3']),
    );
    expect(new Set(listRegisters(v1).map(({ window }) => window)).has('dma1')).toBe(false);
  });

  it('knows no register between registers and none in windows that are not declared', () => {
    expect(registerAt(z1, 'control', 0x28)).toBeUndefined();
    expect(registerAt(v1, 'dma3', 0)).toBeUndefined();
    expect(windowTable(z1, 'toString')).toBeUndefined();
  });
});
