/** What makes a board ready, for programs and the command line: bitstreams, handoffs and the serial console. */
export {
  type BitstreamFacts,
  type ConsoleOptions,
  chooseBoardPort,
  type HandoffFacts,
  inspectFirmware,
  listSerialPorts,
  type ProvisionOptions,
  type ProvisionRequest,
  type ProvisionResult,
  provisionBoard,
  SerialConsole,
  type SerialPortInfo,
} from '../firmware-bridge/index.js';
