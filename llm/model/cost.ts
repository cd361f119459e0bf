import type { Accelerator } from '../../driver/index.js';

/** Multiply-adds done on the CPU, as a running total. */
export interface CpuWork {
  multiplyAdds: number;
}

/** What computing cost: running totals or their differences. A share of a step that others took part in may be fractional. */
export interface Cost {
  /** Accesses to device registers. */
  registerReads: number;
  registerWrites: number;
  /** DMA transfers in both directions, and their bytes. */
  dmaTransfers: number;
  dmaBytes: number;
  /** Cycles of the core's clock. */
  coreCycles: number;
  /** Multiply-adds of the weight matrices on the core, and on the CPU. */
  coreMultiplyAdds: number;
  cpuMultiplyAdds: number;
}

export function newCost(): Cost {
  return {
    registerReads: 0,
    registerWrites: 0,
    dmaTransfers: 0,
    dmaBytes: 0,
    coreCycles: 0,
    coreMultiplyAdds: 0,
    cpuMultiplyAdds: 0,
  };
}

/** The totals at this moment. */
export function readCost(accelerator: Accelerator | undefined, cpuWork: CpuWork): Cost {
  const cost = newCost();
  cost.cpuMultiplyAdds = cpuWork.multiplyAdds;
  if (accelerator === undefined) return cost;
  const { traffic } = accelerator;
  cost.registerReads = traffic.registerReads;
  cost.registerWrites = traffic.registerWrites;
  cost.dmaTransfers = traffic.dmaTransfers;
  cost.dmaBytes = traffic.dmaBytes;
  cost.coreCycles = traffic.coreCycles;
  cost.coreMultiplyAdds = traffic.multiplyAdds;
  return cost;
}

/** Adds `share` (0 to 1) of what was spent between two totals to `to`. */
export function addCost(to: Cost, before: Cost, after: Cost, share: number): void {
  to.registerReads += (after.registerReads - before.registerReads) * share;
  to.registerWrites += (after.registerWrites - before.registerWrites) * share;
  to.dmaTransfers += (after.dmaTransfers - before.dmaTransfers) * share;
  to.dmaBytes += (after.dmaBytes - before.dmaBytes) * share;
  to.coreCycles += (after.coreCycles - before.coreCycles) * share;
  to.coreMultiplyAdds += (after.coreMultiplyAdds - before.coreMultiplyAdds) * share;
  to.cpuMultiplyAdds += (after.cpuMultiplyAdds - before.cpuMultiplyAdds) * share;
}
