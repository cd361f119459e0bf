export type {
  AllocateOptions,
  Board,
  BoardFault,
  DmaBuffer,
  DmaDirection,
  RegisterWindow,
} from './board.js';
export { bootMemory, reservation, WHERE_BOOT_ARGUMENTS } from './boot-memory.js';
export type { BoardDescription, CoreRevision, CoreTiming, DmaDevices, UnpackSpeed } from './description.js';
export { loadBoardDescription, shippedBoardNames, sizesOfBoard } from './description-file.js';
export { dmaBytes, withDmaMemory } from './dma-share.js';
export { OwnedDmaBuffer } from './owned-dma-buffer.js';
export { type MemoryRegion, RegionAllocator } from './region-allocator.js';
export {
  AXI_DMA_REGISTERS,
  type CounterMap,
  CRL_APB_REGISTERS,
  CRL_APB_WINDOW,
  counterMap,
  DMACR,
  DMASR,
  decodeRegister,
  listRegisters,
  type Monitor,
  type MonitorName,
  monitorsOf,
  type PlacedRegister,
  SLCR_KEYS,
  SLCR_REGISTERS,
  SLCR_WINDOW,
  STATUS_REGISTERS,
  statusOffset,
  unitStates,
} from './registers/index.js';
export {
  computeCounter,
  computeCycles,
  inputCycles,
  loadCycles,
  type MatMulCost,
  matMulComputeCounter,
  matMulCycles,
  slowestCore,
  softMaxTileCycles,
  type TimedCore,
  tileCycles,
  unpackWait,
} from './timing/cycles.js';
