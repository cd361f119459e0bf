export { compileSchema } from './compile-schema.js';
export { type Constraint, Constraints, type ResponseFormat } from './constraint.js';
export type { Grammar } from './grammar.js';
export { PAUSE_AFTER, type Pausable, runToEnd } from './pausable.js';
