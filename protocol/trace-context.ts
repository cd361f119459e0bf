import { MAX_TRACESTATE_LENGTH } from './limits.js';

// Source: W3C Trace Context, "Traceparent Header" and "Tracestate Header".

/** Which trace a request is part of, as W3C Trace Context writes it; both are valid where they come from `readTraceContext`. */
export interface TraceContext {
  /** `00-<32 hexadecimal digits, the trace>-<16, the span that it comes from>-<2, flags>` */
  readonly traceparent: string;
  /** What tracing systems say of it to each other. */
  readonly tracestate?: string | undefined;
}

const HEADER = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** The one version that there is, as it is passed on. */
export const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
/** Flags that are known of later versions: sampled, and that the trace's id is random. */
const KNOWN_FLAGS = 0x03;

const MAX_MEMBERS = 32;
/** Longer ones are left out first. */
const LONG_MEMBER = 128;
const MEMBER =
  /^([a-z0-9][a-z0-9_*/@-]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])$/;

/** @returns nothing where there is none, or one that is not valid: then a new trace begins */
export function readTraceContext(
  traceparent: string | undefined,
  tracestate?: string | undefined,
): TraceContext | undefined {
  const [, version, trace, parent, flags, more] = HEADER.exec(traceparent?.trim() ?? '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  const known = version === '00' ? flags : hex(Number.parseInt(flags, 16) & KNOWN_FLAGS, 2);
  const read = `00-${trace}-${parent}-${known}`;
  if (!TRACEPARENT.test(read)) return undefined;
  const state = readTracestate(tracestate);
  return state === undefined ? { traceparent: read } : { traceparent: read, tracestate: state };
}

/** A trace that begins here, of which nobody keeps spans yet. */
export function newTraceContext(): TraceContext {
  const random = (bytes: number) =>
    Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => hex(byte, 2)).join('');
  // All zeros, once in 2^64 times, would be no id.
  const context = readTraceContext(`00-${random(16)}-${random(8)}-00`);
  return context ?? newTraceContext();
}

/** The trace's id, by which logs and spans of one request are found. */
export function traceIdOf({ traceparent }: TraceContext): string {
  return traceparent.slice(3, 35);
}

/** All or nothing of what is not valid; of what is too long, the long members are left out, then the last ones. */
function readTracestate(text: string | undefined): string | undefined {
  const members = (text ?? '')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
  const keys = members.map((member) => MEMBER.exec(member)?.[1]);
  if (keys.includes(undefined) || new Set(keys).size < keys.length || keys.length > MAX_MEMBERS)
    return undefined;
  const isTooLong = (of: readonly string[]) => of.join(',').length > MAX_TRACESTATE_LENGTH;
  let kept = isTooLong(members) ? members.filter(({ length }) => length <= LONG_MEMBER) : members;
  while (isTooLong(kept)) kept = kept.slice(0, -1);
  return kept.length === 0 ? undefined : kept.join(',');
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
