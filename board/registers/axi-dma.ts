import type { BitField, Register, RegisterTable } from './register.js';

const PG021 = 'PG021, AXI DMA, direct register mode';

const CONTROL_FIELDS = {
  RS: { lsb: 0, width: 1, access: 'rw', description: 'run (1) or stop (0)' },
  RESERVED_1: { lsb: 1, width: 1, access: 'ro', description: 'always reads 1' },
  RESET: {
    lsb: 2,
    width: 1,
    access: 'pulse',
    description: 'soft reset of both channels; reads 1 until the reset is over',
  },
  IOC_IRQ_EN: { lsb: 12, width: 1, access: 'rw', description: 'interrupt on completion enabled' },
  DLY_IRQ_EN: { lsb: 13, width: 1, access: 'rw', description: 'delay interrupt enabled' },
  ERR_IRQ_EN: { lsb: 14, width: 1, access: 'rw', description: 'error interrupt enabled' },
  IRQ_THRESHOLD: { lsb: 16, width: 8, access: 'rw', description: 'scatter-gather only' },
  IRQ_DELAY: { lsb: 24, width: 8, access: 'rw', description: 'scatter-gather only' },
} as const satisfies Record<string, BitField>;

const STATUS_FIELDS = {
  HALTED: { lsb: 0, width: 1, access: 'ro', description: 'channel is halted: writing LENGTH has no effect' },
  IDLE: {
    lsb: 1,
    width: 1,
    access: 'ro',
    description: 'transfer has completed; 0 while halted and before the first transfer',
  },
  SG_INCLUDED: { lsb: 3, width: 1, access: 'ro', description: 'built with scatter-gather' },
  DMA_INT_ERR: {
    lsb: 4,
    width: 1,
    access: 'ro',
    description: 'internal error: length 0, or a received packet longer than LENGTH; halts the channel',
  },
  DMA_SLV_ERR: {
    lsb: 5,
    width: 1,
    access: 'ro',
    description: 'the memory answered with an error; halts the channel',
  },
  DMA_DEC_ERR: { lsb: 6, width: 1, access: 'ro', description: 'no memory at the address; halts the channel' },
  IOC_IRQ: { lsb: 12, width: 1, access: 'w1c', description: 'a transfer completed' },
  DLY_IRQ: { lsb: 13, width: 1, access: 'w1c', description: 'delay interrupt' },
  ERR_IRQ: { lsb: 14, width: 1, access: 'w1c', description: 'error interrupt' },
  IRQ_THRESHOLD_STATUS: { lsb: 16, width: 8, access: 'ro', description: 'scatter-gather only' },
  IRQ_DELAY_STATUS: { lsb: 24, width: 8, access: 'ro', description: 'scatter-gather only' },
} as const satisfies Record<string, BitField>;

/** Registers of one AXI DMA in direct register mode: the MM2S channel reads memory, the S2MM channel writes it. */
export const AXI_DMA_REGISTERS = {
  MM2S_DMACR: {
    offset: 0x00,
    access: 'rw',
    reset: 0x0001_0002,
    description: 'control of the memory-to-stream channel',
    source: PG021,
    fields: CONTROL_FIELDS,
  },
  MM2S_DMASR: {
    offset: 0x04,
    access: 'w1c',
    reset: 0x0001_0001,
    description: 'status of the memory-to-stream channel',
    source: PG021,
    fields: STATUS_FIELDS,
  },
  MM2S_SA: {
    offset: 0x18,
    access: 'rw',
    reset: 0,
    description: 'source address, low half',
    unit: 'address',
    source: PG021,
  },
  MM2S_SA_MSB: {
    offset: 0x1c,
    access: 'rw',
    reset: 0,
    description: 'source address, high half',
    unit: 'address',
    source: PG021,
  },
  MM2S_LENGTH: {
    offset: 0x28,
    access: 'rw',
    reset: 0,
    description: 'bytes to send',
    unit: 'bytes',
    sideEffect: 'a write starts the transfer',
    source: PG021,
  },
  S2MM_DMACR: {
    offset: 0x30,
    access: 'rw',
    reset: 0x0001_0002,
    description: 'control of the stream-to-memory channel',
    source: PG021,
    fields: CONTROL_FIELDS,
  },
  S2MM_DMASR: {
    offset: 0x34,
    access: 'w1c',
    reset: 0x0001_0001,
    description: 'status of the stream-to-memory channel',
    source: PG021,
    fields: STATUS_FIELDS,
  },
  S2MM_DA: {
    offset: 0x48,
    access: 'rw',
    reset: 0,
    description: 'destination address, low half',
    unit: 'address',
    source: PG021,
  },
  S2MM_DA_MSB: {
    offset: 0x4c,
    access: 'rw',
    reset: 0,
    description: 'destination address, high half',
    unit: 'address',
    source: PG021,
  },
  S2MM_LENGTH: {
    offset: 0x58,
    access: 'rw',
    reset: 0,
    description: 'room for a packet; after it, the bytes received',
    unit: 'bytes',
    sideEffect: 'a write starts the transfer',
    source: PG021,
  },
} as const satisfies Record<string, Register>;

export const AXI_DMA_TABLE = {
  title: 'AXI DMA, direct register mode',
  registers: AXI_DMA_REGISTERS,
} as const satisfies RegisterTable;

/** Bits of DMACR. */
export const DMACR = {
  RUN: 1 << CONTROL_FIELDS.RS.lsb,
  RESET: 1 << CONTROL_FIELDS.RESET.lsb,
  IOC_IRQ_EN: 1 << CONTROL_FIELDS.IOC_IRQ_EN.lsb,
  ERR_IRQ_EN: 1 << CONTROL_FIELDS.ERR_IRQ_EN.lsb,
} as const;

/** Bits of DMASR. */
export const DMASR = {
  HALTED: 1 << STATUS_FIELDS.HALTED.lsb,
  IDLE: 1 << STATUS_FIELDS.IDLE.lsb,
  INTERNAL_ERROR: 1 << STATUS_FIELDS.DMA_INT_ERR.lsb,
  SLAVE_ERROR: 1 << STATUS_FIELDS.DMA_SLV_ERR.lsb,
  DECODE_ERROR: 1 << STATUS_FIELDS.DMA_DEC_ERR.lsb,
  IOC_IRQ: 1 << STATUS_FIELDS.IOC_IRQ.lsb,
  DLY_IRQ: 1 << STATUS_FIELDS.DLY_IRQ.lsb,
  ERR_IRQ: 1 << STATUS_FIELDS.ERR_IRQ.lsb,
} as const;
