import { AGENT_ERRORS } from './agent.js';
import { BUS_ERRORS } from './bus.js';
import { CLI_ERRORS } from './cli.js';
import { DEPLOY_ERRORS } from './deploy.js';
import { DRIVER_ERRORS } from './driver.js';
import type { ErrorEntry } from './entry.js';
import { FIRMWARE_ERRORS } from './firmware.js';
import { FLEET_ERRORS } from './fleet.js';
import { FLEET_PLAN_ERRORS } from './fleet-plan.js';
import { FLEET_TENSOR_ERRORS } from './fleet-tensor.js';
import { GGUF_ERRORS } from './gguf.js';
import { HTTP_ERRORS } from './http-api.js';
import { LINUX_ERRORS } from './linux.js';
import { LLM_ERRORS } from './llm.js';
import { MOCK_ERRORS } from './mock-device.js';
import { PROTOCOL_ERRORS } from './protocol.js';
import { QUANTIZE_ERRORS } from './quantize.js';
import { SDK_ERRORS } from './sdk.js';
import { SERVICE_ERRORS } from './service.js';

export type { ErrorEntry } from './entry.js';

/** The tables by the folders whose errors they hold, in the order of their numbers: the sections of docs/errors.md. */
export const ERROR_TABLES = {
  'gguf/': GGUF_ERRORS,
  'quantize/': QUANTIZE_ERRORS,
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
  'bus/': BUS_ERRORS,
  'fleet/': FLEET_ERRORS,
  'llm/tensor/ and fleet/links/': FLEET_TENSOR_ERRORS,
  'fleet/plan/ and fleet/advice/': FLEET_PLAN_ERRORS,
} as const satisfies Record<string, Record<string, ErrorEntry>>;

type Tables = typeof ERROR_TABLES;
/** Name of an error of the package; docs/errors.md has the list. */
export type ErrorCodeName = { [Folder in keyof Tables]: keyof Tables[Folder] }[keyof Tables];

/** Every error of the package, by code. */
export const ERROR_CODES = Object.assign({}, ...Object.values(ERROR_TABLES)) as Readonly<
  Record<ErrorCodeName, ErrorEntry>
>;
