import { AGENT_ERRORS } from './agent.js';
import { CLI_ERRORS } from './cli.js';
import { DEPLOY_ERRORS } from './deploy.js';
import { DRIVER_ERRORS } from './driver.js';
import type { ErrorEntry } from './entry.js';
import { FIRMWARE_ERRORS } from './firmware.js';
import { GGUF_ERRORS } from './gguf.js';
import { HTTP_ERRORS } from './http-api.js';
import { LINUX_ERRORS } from './linux.js';
import { LLM_ERRORS } from './llm.js';
import { MOCK_ERRORS } from './mock-device.js';
import { PROTOCOL_ERRORS } from './protocol.js';
import { SDK_ERRORS } from './sdk.js';
import { SERVICE_ERRORS } from './service.js';

export type { ErrorEntry } from './entry.js';

/** Every error of the package, by code. Numbers: 1 gguf, 2 driver, 3 mock-device, 4 llm, 5 protocol, 6 agent, 7 sdk, 8 cli, 9 deploy and ssh. */
export const ERROR_CODES = {
  ...GGUF_ERRORS,
  ...DRIVER_ERRORS,
  ...LINUX_ERRORS,
  ...MOCK_ERRORS,
  ...LLM_ERRORS,
  ...PROTOCOL_ERRORS,
  ...AGENT_ERRORS,
  ...SDK_ERRORS,
  ...CLI_ERRORS,
  ...HTTP_ERRORS,
  ...FIRMWARE_ERRORS,
  ...DEPLOY_ERRORS,
  ...SERVICE_ERRORS,
} as const satisfies Record<string, ErrorEntry>;

/** Name of an error of the package; docs/errors.md has the list. */
export type ErrorCodeName = keyof typeof ERROR_CODES;
