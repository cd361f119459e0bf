export { type LinuxBoardOptions, type LinuxBoardReport, openLinuxBoard } from './board.js';
export { MEMORY_KINDS } from './dma-memory.js';
export { atClock, INSTALLED_BOARD, loadInstalledBoard } from './installed-board.js';
export { KoffiMapper } from './koffi-mapper.js';
export type { LinuxSystem } from './linux-system.js';
export type { MapRequest } from './mapper.js';
export { openLinuxMemory } from './memory-port.js';
export { withProcessorRegisters } from './processor-registers.js';
export { readAvailableMemory } from './system-memory.js';
