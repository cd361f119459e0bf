import type { Model } from '../model/model.js';

/** What a step of so many columns costs, as its pace is measured: core cycles, or columns where the core has no part in it. */
export function columnCost(model: Model, columns: number): number {
  const most = model.maxColumns;
  const cycles = model.coreCycles(Math.min(columns, most)) * Math.max(1, columns / most);
  return cycles === 0 ? columns : cycles;
}
