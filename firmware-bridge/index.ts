export { type BoardDesign, DESIGN_FILES, type DesignSource, readDesign } from './board-design.js';
export { type BootHelp, bootHelp } from './boot-help.js';
export { type BitstreamFacts, type HandoffFacts, inspectFirmware } from './inspect.js';
export type { WaitingFor } from './provision/login.js';
export { provisionBoard } from './provision/provision.js';
export type { ProvisionResult } from './provision/request.js';
export { SerialConsole } from './serial/console.js';
export { chooseBoardPort, isBoardPort, listSerialPorts } from './serial/ports.js';
