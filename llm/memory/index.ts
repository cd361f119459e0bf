export { assumedSystem } from './board-system.js';
export type { MemoryRequest, SystemMemory } from './budget.js';
export { type ModelShape, modelShape, typeNamed } from './model-shape.js';
export { budgetMemory, type MemoryBudget, requireMemory } from './refusal.js';
export { kvShapeOfStage, type StageMemory, stageMemory, stageShape } from './stage.js';
