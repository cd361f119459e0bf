export { type LinuxBoardOptions, type LinuxBoardReport, openLinuxBoard } from './board.js';
export { MEMORY_KINDS } from './dma-memory.js';
export { INSTALLED_BOARD, loadInstalledBoard } from './installed-board.js';
