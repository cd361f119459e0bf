export { StepCost } from './step-cost.js';
export { type LayerShape, type StepShape, stepShape } from './step-shape.js';
