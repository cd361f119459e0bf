export { type Constraint, Constraints, type ResponseFormat } from './constraint.js';
