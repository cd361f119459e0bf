import { PynqLlmError } from '../errors/index.js';

/** A version of the wire protocol. */
export interface ProtocolVersion {
  /** Raised when an old peer would misread a message; versions with different majors refuse each other. */
  readonly major: number;
  /** Raised when messages or optional fields are added; see the capabilities for what an agent has. */
  readonly minor: number;
}

export const PROTOCOL_VERSION: ProtocolVersion = { major: 3, minor: 0 };

/**
 * What an agent of this version can do, as sent in the reply to hello. A client asks for a capability by name,
 * never by version.
 */
export const CAPABILITIES = [
  'registers',
  'buffers',
  'models',
  'upload',
  'generate',
  'continue',
  'score',
  'counters',
  'device-test',
  'trace',
  'metrics',
  'pin',
  'pieces',
  'client-path',
  'find',
  'memory',
  'check',
  'mat-mul',
  'pages',
  'traceparent',
] as const;

/**
 * Refuses a peer of another major version.
 * @param theirs the version in the peer's hello or in its reply
 * @param they who the peer is, as the message should name it
 * @throws PynqLlmError PROTOCOL_VERSION_MISMATCH naming both versions and which side to upgrade
 */
export function requireSameMajor(theirs: ProtocolVersion, they: 'client' | 'agent'): void {
  if (theirs.major === PROTOCOL_VERSION.major) return;
  const we = they === 'client' ? 'agent' : 'client';
  const older = theirs.major < PROTOCOL_VERSION.major ? they : we;
  const show = (version: ProtocolVersion) => `${version.major}.${version.minor}`;
  throw new PynqLlmError(
    'PROTOCOL_VERSION_MISMATCH',
    `The ${they} speaks protocol ${show(theirs)}, this ${we} speaks ${show(PROTOCOL_VERSION)}.`,
    {
      context: { theirs: show(theirs), ours: show(PROTOCOL_VERSION), upgrade: older },
      remedy: `Upgrade pynq-llm on the ${older}'s side.`,
    },
  );
}
