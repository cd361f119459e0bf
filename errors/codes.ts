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

/** The tables of errors by the folders whose errors they are, in the order of their numbers. */
export const ERROR_AREAS = {
  'gguf/': GGUF_ERRORS,
  'driver/': DRIVER_ERRORS,
  'linux-device/': LINUX_ERRORS,
  'mock-device/': MOCK_ERRORS,
  'llm/': LLM_ERRORS,
  'protocol/': PROTOCOL_ERRORS,
  'agent/': AGENT_ERRORS,
  'sdk/': SDK_ERRORS,
  'cli/': CLI_ERRORS,
  'firmware-bridge/': FIRMWARE_ERRORS,
  'http-api/': HTTP_ERRORS,
  'sdk/ssh/ and sdk/deploy/': DEPLOY_ERRORS,
  'sdk/service/ and sdk/doctor/': SERVICE_ERRORS,
} as const;

type NamesOf<Table> = Table extends unknown ? keyof Table : never;

export type ErrorCodeName = NamesOf<(typeof ERROR_AREAS)[keyof typeof ERROR_AREAS]>;

/** Every error of the package, by code. */
export const ERROR_CODES: Readonly<Record<ErrorCodeName, ErrorEntry>> = Object.assign(
  {},
  ...Object.values(ERROR_AREAS),
);
