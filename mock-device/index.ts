export { type MockBoard, type MockBoardOptions, openMockBoard } from './board.js';
export type { ExternalMemory } from './external-memory.js';
export { FAULTS, type FaultName, type FaultSwitch, isFaultName } from './faults.js';
