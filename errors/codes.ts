import { AGENT_ERRORS } from './agent.js';
import { CLI_ERRORS } from './cli.js';
import { DRIVER_ERRORS } from './driver.js';
import type { ErrorEntry } from './entry.js';
import { GGUF_ERRORS } from './gguf.js';
import { LLM_ERRORS } from './llm.js';
import { MOCK_ERRORS } from './mock-device.js';
import { PROTOCOL_ERRORS } from './protocol.js';
import { SDK_ERRORS } from './sdk.js';

export type { ErrorEntry } from './entry.js';

/** Every error of the package, by code. Numbers: 1 gguf, 2 driver, 3 mock-device, 4 llm, 5 protocol, 6 agent, 7 sdk, 8 cli. */
export const ERROR_CODES = {
  ...GGUF_ERRORS,
  ...DRIVER_ERRORS,
  ...MOCK_ERRORS,
  ...LLM_ERRORS,
  ...PROTOCOL_ERRORS,
  ...AGENT_ERRORS,
  ...SDK_ERRORS,
  ...CLI_ERRORS,
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCodeName = keyof typeof ERROR_CODES;
