export type { ErrorCodeName } from './codes.js';
export { ERROR_CODES, ERROR_TABLES } from './codes.js';
export { harmless, harmlessJson, harmlessLines, holdsUnseen } from './harmless.js';
export { didYouMean, nearestName } from './nearest.js';
export type { ErrorContext, ErrorDetail, WireError } from './pynq-llm-error.js';
export { isPynqLlmError, PynqLlmError } from './pynq-llm-error.js';
