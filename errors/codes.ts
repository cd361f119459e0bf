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

/** The tables by the folders whose errors they hold, in the order of their numbers: the sections of docs/errors.md. */
export const ERROR_TABLES: Readonly<Record<string, Readonly<Record<string, ErrorEntry>>>> = {
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
};

/** Every error of the package, by code. */
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
  ...FIRMWARE_ERRORS,
  ...HTTP_ERRORS,
  ...DEPLOY_ERRORS,
  ...SERVICE_ERRORS,
} as const satisfies Record<string, ErrorEntry>;

/** Name of an error of the package; docs/errors.md has the list. */
export type ErrorCodeName = keyof typeof ERROR_CODES;
