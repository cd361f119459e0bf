export { listRegisters, type PlacedRegister, registerAt, windowTable } from './allow-list.js';
export { AXI_DMA_REGISTERS, DMACR, DMASR } from './axi-dma.js';
export { CONTROL_TABLES, STATUS_REGISTERS, statusOffset } from './control.js';
export { CRL_APB_REGISTERS, CRL_APB_WINDOW } from './crl-apb.js';
export { type CounterMap, counterMap, hwcTable } from './hwc.js';
export {
  type Monitor,
  type MonitorName,
  monitorsOf,
  unitStates,
} from './monitors.js';
export {
  decodeRegister,
  fieldMask,
  type RegisterTable,
} from './register.js';
export { SLCR_KEYS, SLCR_REGISTERS, SLCR_WINDOW } from './slcr.js';
