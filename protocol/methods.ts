import type { z } from 'zod';
import { boardHealth, boardInfo, helloParams, helloResult } from './schemas/board.js';
import {
  buffersAllocateParams,
  buffersAllocateResult,
  buffersFreeParams,
  buffersReadParams,
  buffersReadResult,
  buffersWriteParams,
} from './schemas/buffers.js';
import { empty, progressEvent, type Role } from './schemas/common.js';
import { countersReadResult, countersSetTargetsParams, stepEvent } from './schemas/counters.js';
import {
  deviceAddFileParams,
  deviceListChecksParams,
  deviceListChecksResult,
  deviceMatMulParams,
  deviceMatMulResult,
  deviceRunCheckParams,
  deviceRunCheckResult,
} from './schemas/device.js';
import {
  fleetAdvice,
  fleetAdviseParams,
  fleetDrainParams,
  fleetDrainResult,
  fleetStatus,
  fleetVerification,
} from './schemas/fleet.js';
import {
  generateEvent,
  generateProgressResult,
  generateReference,
  generateResumeParams,
  generateStartParams,
  generateStartResult,
  scoreParams,
  scoreResult,
} from './schemas/generate.js';
import { metricsResult } from './schemas/metrics.js';
import {
  applyTemplateParams,
  applyTemplateResult,
  checkResult,
  detokenizeParams,
  detokenizeResult,
  loadParams,
  loadResult,
  modelReference,
  modelsFindParams,
  modelsFindResult,
  modelsListParams,
  modelsListResult,
  piecesResult,
  storedModel,
  tokenizeParams,
  tokenizeResult,
  uploadBeginParams,
  uploadBeginResult,
  uploadHaveResult,
  uploadReference,
} from './schemas/models.js';
import { pagesParams, pagesResult } from './schemas/pages.js';
import { pinParams, pinReference, pinResult } from './schemas/pins.js';
import { planParams, planReport } from './schemas/placement.js';
import {
  registersListResult,
  registersReadParams,
  registersReadResult,
  registersWriteParams,
} from './schemas/registers.js';
import { streamCloseParams } from './schemas/stream.js';
import {
  traceReadParams,
  traceReadResult,
  traceReplayResult,
  traceStopResult,
  traceWriteParams,
} from './schemas/trace.js';

/** One method: who may call it, its parameters, its result, and the events of the stream that it opens, if any. */
interface MethodEntry {
  readonly role: Role;
  readonly params: z.ZodType;
  readonly result: z.ZodType;
  readonly event?: z.ZodType;
}

/** Every method of the protocol. The types of client and agent derive from this table. */
export const METHODS = {
  hello: { role: 'read', params: helloParams, result: helloResult },
  'stream.close': { role: 'read', params: streamCloseParams, result: empty },

  'board.info': { role: 'read', params: empty, result: boardInfo },
  'board.health': { role: 'read', params: empty, result: boardHealth },

  'registers.list': { role: 'read', params: empty, result: registersListResult },
  'registers.read': { role: 'read', params: registersReadParams, result: registersReadResult },
  'registers.write': { role: 'admin', params: registersWriteParams, result: empty },

  'buffers.allocate': { role: 'admin', params: buffersAllocateParams, result: buffersAllocateResult },
  'buffers.write': { role: 'admin', params: buffersWriteParams, result: empty },
  'buffers.read': { role: 'admin', params: buffersReadParams, result: buffersReadResult },
  'buffers.free': { role: 'admin', params: buffersFreeParams, result: empty },

  'models.list': { role: 'read', params: modelsListParams, result: modelsListResult },
  'models.find': { role: 'read', params: modelsFindParams, result: modelsFindResult },
  'models.get': { role: 'read', params: modelReference, result: storedModel },
  'models.plan': { role: 'read', params: planParams, result: planReport },
  'models.uploadBegin': { role: 'infer', params: uploadBeginParams, result: uploadBeginResult },
  'models.uploadHave': { role: 'infer', params: uploadReference, result: uploadHaveResult },
  'models.uploadCommit': { role: 'infer', params: uploadReference, result: storedModel },
  'models.uploadAbort': { role: 'infer', params: uploadReference, result: empty },
  'models.check': { role: 'infer', params: loadParams, result: checkResult },
  'models.load': { role: 'infer', params: loadParams, result: loadResult, event: progressEvent },
  'models.unload': { role: 'infer', params: modelReference, result: empty },
  'models.delete': { role: 'infer', params: modelReference, result: empty },
  'models.tokenize': { role: 'infer', params: tokenizeParams, result: tokenizeResult },
  'models.detokenize': { role: 'infer', params: detokenizeParams, result: detokenizeResult },
  'models.pieces': { role: 'infer', params: detokenizeParams, result: piecesResult },
  'models.applyTemplate': { role: 'infer', params: applyTemplateParams, result: applyTemplateResult },
  'models.pin': { role: 'infer', params: pinParams, result: pinResult, event: progressEvent },
  'models.unpin': { role: 'infer', params: pinReference, result: empty },
  'models.pages': { role: 'admin', params: pagesParams, result: pagesResult },

  'generate.start': {
    role: 'infer',
    params: generateStartParams,
    result: generateStartResult,
    event: generateEvent,
  },
  'generate.resume': { role: 'infer', params: generateResumeParams, result: empty, event: generateEvent },
  'generate.cancel': { role: 'infer', params: generateReference, result: empty },
  'generate.progress': { role: 'infer', params: generateReference, result: generateProgressResult },
  score: { role: 'infer', params: scoreParams, result: scoreResult, event: progressEvent },

  'fleet.status': { role: 'read', params: empty, result: fleetStatus },
  'fleet.advise': { role: 'read', params: fleetAdviseParams, result: fleetAdvice },
  'fleet.drain': { role: 'admin', params: fleetDrainParams, result: fleetDrainResult },
  'fleet.verify': { role: 'infer', params: empty, result: fleetVerification },

  'metrics.read': { role: 'read', params: empty, result: metricsResult },

  'counters.read': { role: 'read', params: empty, result: countersReadResult },
  'counters.reset': { role: 'admin', params: empty, result: empty },
  'counters.setTargets': { role: 'admin', params: countersSetTargetsParams, result: empty },
  'counters.subscribe': { role: 'read', params: empty, result: empty, event: stepEvent },

  'device.listChecks': { role: 'admin', params: deviceListChecksParams, result: deviceListChecksResult },
  'device.addFile': { role: 'admin', params: deviceAddFileParams, result: empty },
  'device.runCheck': { role: 'admin', params: deviceRunCheckParams, result: deviceRunCheckResult },
  'device.matMul': { role: 'admin', params: deviceMatMulParams, result: deviceMatMulResult },

  'trace.start': { role: 'admin', params: empty, result: empty },
  'trace.stop': { role: 'admin', params: empty, result: traceStopResult },
  'trace.read': { role: 'admin', params: traceReadParams, result: traceReadResult },
  'trace.write': { role: 'admin', params: traceWriteParams, result: empty },
  'trace.replay': { role: 'admin', params: empty, result: traceReplayResult },
} as const satisfies Record<string, MethodEntry>;

type Methods = typeof METHODS;
export type MethodName = keyof Methods;
export type Params<M extends MethodName> = z.output<Methods[M]['params']>;
export type Result<M extends MethodName> = z.output<Methods[M]['result']>;
/** Methods that open a stream, and its events. */
export type StreamMethodName = {
  [M in MethodName]: Methods[M] extends { event: z.ZodType } ? M : never;
}[MethodName];
export type StreamEvent<M extends StreamMethodName> = z.output<Methods[M]['event']>;

/** The table without the particulars of each method. */
export function methodEntry(method: MethodName): MethodEntry {
  return METHODS[method];
}

export function isMethodName(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}
