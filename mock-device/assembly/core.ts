/** Entry of the mock core's WebAssembly module. Memory is imported: the core's own areas at the bottom, DMA memory behind. */
export { prepareInputs } from './inputs';
export { multiply } from './multiply';
export { dotOfBytes } from './probe';
