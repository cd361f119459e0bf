import { readTraceContext, type ServiceOptions } from '../protocol/index.js';
import { activeTrace } from '../spans/index.js';
import type { Connection } from './connection.js';

/**
 * How a request is to be served, as the agent takes it. The trace is what the options say, or else what is active in the process; an agent
 * that knows no traces is not sent one.
 */
export function toWireService(
  connection: Connection,
  { class: served, priority, client, deadlineMs, maxPredictedMs, traceparent, tracestate }: ServiceOptions,
): ServiceOptions {
  const service = { class: served, priority, client, deadlineMs, maxPredictedMs };
  if (!connection.hello.capabilities.includes('traceparent')) return service;
  const trace = readTraceContext(traceparent, tracestate) ?? activeTrace();
  return trace === undefined ? service : { ...service, ...trace };
}
