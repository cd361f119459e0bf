import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';

/** Makes an error of the client library one of ours. Its classes are told by name: the library is loaded late. */
export function typedError(error: unknown, subject: string): PynqLlmError {
  if (isPynqLlmError(error)) return error;
  const refused = notPermitted(error);
  if (refused) return refused.error;
  const { name, message, code } = describe(error);
  const detail = { cause: error, context: { subject } };
  if (isNoResponder(error))
    return new PynqLlmError('BUS_NO_RESPONDER', `Nobody answers on ${subject}.`, detail);
  if (name === 'AuthorizationError' || name === 'UserAuthenticationExpiredError')
    return new PynqLlmError(
      'BUS_CREDENTIALS_REFUSED',
      `The broker refuses the connection: ${message}.`,
      detail,
    );
  if (isAboutTls(message, code))
    return new PynqLlmError('BUS_TLS', `No secured connection to the broker: ${message}.`, detail);
  if (isTimeout(error))
    return new PynqLlmError('BUS_UNAVAILABLE', `The broker did not answer on ${subject} in time.`, detail);
  return new PynqLlmError('BUS_UNAVAILABLE', `The broker cannot be reached: ${message}.`, detail);
}

/** What the broker refuses, where this is such an error. */
export function notPermitted(error: unknown): { subject: string; error: PynqLlmError } | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.name === 'RequestError' && error.cause) return notPermitted(error.cause);
  if (error.name !== 'PermissionViolationError') return undefined;
  const { operation, subject } = error as Error & { operation: string; subject: string };
  const what = `The broker does not let this key ${operation === 'publish' ? 'publish to' : 'subscribe to'} ${subject}.`;
  return {
    subject,
    error: new PynqLlmError('BUS_NOT_PERMITTED', what, { cause: error, context: { operation, subject } }),
  };
}

function isNoResponder(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === 'NoResponders' || (error.name === 'RequestError' && isNoResponder(error.cause));
}
/** Whether the client library's own deadline ended it. */
export function isTimeout(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === 'TimeoutError' || (error.name === 'RequestError' && isTimeout(error.cause));
}
function isAboutTls(message: string, code: string): boolean {
  return (
    /^ERR_(TLS|SSL)|CERT|SELF_SIGNED|UNABLE_TO|^EPROTO$/.test(code) || /'?tls'?\b|certificate/i.test(message)
  );
}
function describe(error: unknown): { name: string; message: string; code: string } {
  if (!(error instanceof Error))
    return { name: '', message: String(error ?? 'it closed the connection'), code: '' };
  const { code, errors } = error as Error & { code?: unknown; errors?: unknown };
  // Node.js tries the addresses of a name in turn, and tells of all of them at once.
  const first = Array.isArray(errors) && errors[0] instanceof Error ? errors[0].message : '';
  const inner = error.cause instanceof Error ? describe(error.cause) : undefined;
  const message = inner?.message ?? (error.message || first || error.name);
  return { name: error.name, message, code: typeof code === 'string' ? code : (inner?.code ?? '') };
}

/** An error that JetStream answered. */
export interface ApiError {
  /** Of HTTP. */
  readonly code: number;
  /** Of JetStream's own list. */
  readonly err_code?: number | undefined;
  readonly description?: string | undefined;
}
export const WRONG_LAST_SEQUENCE = 10_071;
export const OTHER_CONFIGURATION = 10_058;
export const NO_MESSAGE = 10_037;
export const NO_CONSUMER = 10_014;
const MISSING = new Set([10_059, NO_CONSUMER]);
const NO_JETSTREAM = new Set([10_039, 10_076, 10_008]);
const TOO_LARGE = 10_054;
const FULL = new Set([10_002, 10_023, 10_028, 10_047, 10_077, 10_078]);

/** @param what what was to be done, as the beginning of a sentence */
export function apiError(what: string, { err_code, code, description }: ApiError): PynqLlmError {
  const said = `${what}: the broker says "${String(description ?? code).slice(0, 300)}".`;
  const detail = { context: { status: code, code: err_code ?? 0 } };
  if (err_code !== undefined && MISSING.has(err_code)) return new PynqLlmError('BUS_MISSING', said, detail);
  if (err_code !== undefined && NO_JETSTREAM.has(err_code))
    return new PynqLlmError('BUS_NO_JETSTREAM', said, detail);
  if (err_code === TOO_LARGE) return new PynqLlmError('BUS_PAYLOAD_TOO_LARGE', said, detail);
  if (err_code !== undefined && FULL.has(err_code)) return new PynqLlmError('BUS_STORE_FULL', said, detail);
  return new PynqLlmError('BUS_REFUSED', said, detail);
}
