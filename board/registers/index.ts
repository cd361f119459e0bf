export { listRegisters, type PlacedRegister, registerAt, windowTable } from './allow-list.js';
export { AXI_DMA_REGISTERS, DMACR, DMASR } from './axi-dma.js';
export { CONTROL_TABLES, STATUS_REGISTERS, statusOffset } from './control.js';
export { HWC_RESET_OFFSET, HWC_TABLES, monitorOffsets } from './hwc.js';
export { MONITORS, type Monitor, type MonitorName } from './monitors.js';
export {
  decodeRegister,
  fieldMask,
  type RegisterTable,
} from './register.js';
export { SLCR_KEYS, SLCR_REGISTERS, SLCR_WINDOW } from './slcr.js';
