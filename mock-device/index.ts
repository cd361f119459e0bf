export { type MockBoard, type MockBoardOptions, openMockBoard } from './board.js';
export { FAULTS, type FaultName, type FaultSwitch, isFaultName } from './faults.js';
