import { PynqLlmError } from '../errors/index.js';
import type { BucketConfig, LogConfig, QueueConfig, StoreLimits } from './bus.js';

const SUBJECT = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const PATTERN = /^(>|([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.>)?)$/;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const ID = /^[!-~]{1,128}$/;
/** Of subjects, so that hostile ones stay cheap; a broker's own limit is the 4 KiB of its protocol's lines. */
const MAX_SUBJECT = 256;
/** Left for headers (the id, a stream's expectations) and subjects in what a broker takes at most. */
export const HEADER_ROOM = 4_096;
export const DEFAULT_TIMEOUT_MS = 5_000;
export const MAX_WAIT_MS = 600_000;

/** @throws BUS_SUBJECT_INVALID */
export function checkSubject(subject: string): void {
  if (subject.length > MAX_SUBJECT || !SUBJECT.test(subject)) throw invalid('subject', subject);
}
/** @throws BUS_SUBJECT_INVALID */
export function checkPattern(pattern: string): void {
  if (pattern.length > MAX_SUBJECT || !PATTERN.test(pattern)) throw invalid('pattern of subjects', pattern);
}
/** @throws BUS_SUBJECT_INVALID */
export function checkName(name: string): void {
  if (!NAME.test(name)) throw invalid('name of 1 to 64 characters', name);
}
/** @throws BUS_SUBJECT_INVALID */
export function checkId(id: string): void {
  if (!ID.test(id)) throw invalid('id of 1 to 128 visible ASCII characters', id);
}
function invalid(what: string, text: string): PynqLlmError {
  const shown = JSON.stringify(String(text).slice(0, 80));
  return new PynqLlmError('BUS_SUBJECT_INVALID', `${shown} is no ${what}.`);
}

/** @throws BUS_PAYLOAD_TOO_LARGE */
export function checkPayload(data: Uint8Array, maxPayload: number): void {
  if (data.byteLength <= maxPayload) return;
  throw new PynqLlmError(
    'BUS_PAYLOAD_TOO_LARGE',
    `A message of ${data.byteLength} bytes was to be sent; the broker takes ${maxPayload}.`,
    { context: { bytes: data.byteLength, maxPayload } },
  );
}

/** @throws BUS_OPTION_INVALID unless `value` is a whole number within the range */
export function checkRange(option: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new PynqLlmError('BUS_OPTION_INVALID', `${option} is ${value}; it may be ${least} to ${most}.`, {
    context: { option, least, most },
  });
}
/** @returns the timeout of `options`, checked */
export function timeoutOf(options: { readonly timeoutMs?: number } | undefined): number {
  return checkRange('timeoutMs', options?.timeoutMs ?? DEFAULT_TIMEOUT_MS, 1, MAX_WAIT_MS);
}
/** @throws BUS_SUBJECT_INVALID, BUS_OPTION_INVALID */
export function checkQueue(config: QueueConfig): void {
  checkName(config.name);
  checkLimits(config);
  checkRange('ackWaitMs', config.ackWaitMs, 100, MAX_WAIT_MS);
  checkRange('maxDeliveries', config.maxDeliveries, 1, 1_000);
}
/** @throws BUS_SUBJECT_INVALID, BUS_OPTION_INVALID */
export function checkLog(config: LogConfig): void {
  checkName(config.name);
  checkLimits(config);
}
/** @throws BUS_SUBJECT_INVALID, BUS_OPTION_INVALID */
export function checkBucket({ name, maxBytes, maxValueBytes }: BucketConfig): void {
  checkName(name);
  checkBytes(maxBytes);
  if (maxValueBytes !== undefined) checkRange('maxValueBytes', maxValueBytes, 4_096, Number.MAX_SAFE_INTEGER);
}
function checkLimits({ maxAgeMs, maxBytes, duplicateWindowMs }: StoreLimits): void {
  // A broker counts nanoseconds, and JSON's numbers are whole up to 2^53.
  const longest = 9_000_000_000;
  if (maxAgeMs !== 0) checkRange('maxAgeMs', maxAgeMs, 100, longest);
  checkRange('duplicateWindowMs', duplicateWindowMs, 100, maxAgeMs || longest);
  checkBytes(maxBytes);
}
function checkBytes(maxBytes: number): void {
  if (maxBytes !== 0) checkRange('maxBytes', maxBytes, 4_096, Number.MAX_SAFE_INTEGER);
}

/** Whether a subject is of a pattern: `*` is one part, `>` at the end one or more. */
export function matches(pattern: string, subject: string): boolean {
  if (pattern === '>' || pattern === subject) return true;
  const asked = pattern.split('.');
  const parts = subject.split('.');
  for (const [i, part] of asked.entries()) {
    if (part === '>') return parts.length > i;
    if (part !== '*' && part !== parts[i]) return false;
    if (i >= parts.length) return false;
  }
  return asked.length === parts.length;
}
