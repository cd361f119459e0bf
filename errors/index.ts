export type { ErrorCodeName } from './codes.js';
export { ERROR_AREAS, ERROR_CODES } from './codes.js';
export { harmless, harmlessJson, harmlessLines, holdsUnseen } from './harmless.js';
export type { ErrorContext, WireError } from './pynq-llm-error.js';
export { isPynqLlmError, PynqLlmError } from './pynq-llm-error.js';
