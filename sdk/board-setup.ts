/** What makes a board ready, for programs and the command line: bitstreams, handoffs and the serial console. */
export {
  type BitstreamFacts,
  type BootHelp,
  bootHelp,
  chooseBoardPort,
  type HandoffFacts,
  inspectFirmware,
  isBoardPort,
  listSerialPorts,
  type ProvisionResult,
  provisionBoard,
  SerialConsole,
  type WaitingFor,
} from '../firmware-bridge/index.js';
