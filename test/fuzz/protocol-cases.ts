import { encodeFrame, ROLES } from '../../protocol/index.js';
import type { Dice } from '../load/workload.js';
import { hello, upgradeRequest, webSocketFrame } from '../system/hostile/support/upgrades.js';
import { TOKENS } from '../system/hostile/support/victim.js';
import { mutated } from './mutate.js';

const DIGEST = '0'.repeat(64);
const ID = '0'.repeat(32);
const MIB = 1_048_576;
/** Calls that are right in form, by method. */
const CALLS: Readonly<Record<string, object>> = {
  hello: { protocol: { major: 3, minor: 0 }, client: 'again' },
  'stream.close': { stream: 0 },
  'board.info': {},
  'board.health': {},
  'registers.list': {},
  'registers.read': { registers: ['control.STATUS_0', { window: 'control', offset: 4 }] },
  'registers.write': { writes: [{ register: 'hwc.RESET', value: 1 }] },
  'buffers.allocate': { byteLength: 64, align: 64 },
  'buffers.write': { buffer: 1, offset: 0, data: new Uint8Array(64) },
  'buffers.read': { buffer: 1, offset: 0, byteLength: 64 },
  'buffers.free': { buffer: 1 },
  'models.list': {},
  'models.get': { model: DIGEST },
  'models.plan': { model: DIGEST },
  'models.uploadBegin': { digest: DIGEST, name: 'fuzz', bytes: MIB, chunkDigests: new Uint8Array(32) },
  'models.uploadHave': { upload: ID },
  'models.uploadCommit': { upload: ID },
  'models.uploadAbort': { upload: ID },
  'models.check': { model: DIGEST },
  'models.load': { model: DIGEST, contextLength: 64 },
  'models.unload': { model: DIGEST },
  'models.delete': { model: DIGEST },
  'models.tokenize': { model: DIGEST, text: 'Once' },
  'models.detokenize': { model: DIGEST, tokens: [1, 2] },
  'models.pieces': { model: DIGEST, tokens: [1, 2] },
  'models.applyTemplate': { model: DIGEST, messages: [{ role: 'user', content: 'x' }] },
  'models.pin': { pin: ID, model: DIGEST, prompt: { text: 'Once' } },
  'models.unpin': { pin: ID },
  'models.pages': { model: DIGEST, since: { index: '0'.repeat(16), version: 1 } },
  'generate.start': {
    generation: ID,
    model: DIGEST,
    prompt: { tokens: [1] },
    continueFrom: [1],
    sampling: { maxTokens: 2 },
    window: 4,
  },
  'generate.resume': { generation: ID, next: 0 },
  'generate.cancel': { generation: ID },
  'generate.progress': { generation: ID },
  score: { model: DIGEST, tokens: [1, 2, 3] },
  'fleet.advise': { target: 0.5 },
  'fleet.status': {},
  'fleet.drain': { board: 'one' },
  'fleet.verify': {},
  'metrics.read': {},
  'counters.read': {},
  'counters.reset': {},
  'counters.setTargets': { targets: { compute: 1 } },
  'counters.subscribe': {},
  'device.listChecks': { index: '[]' },
  'device.addFile': { name: 'x', offset: 0, data: new Uint8Array(10) },
  'device.runCheck': { check: '{}', files: [{ name: 'x', data: new Uint8Array(3) }] },
  'trace.start': {},
  'trace.stop': {},
  'trace.read': { offset: 0, byteLength: 100 },
  'trace.write': { offset: 0, data: new Uint8Array(20) },
  'trace.replay': {},
};
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 32,
  2 ** 53,
  -(2 ** 31),
  '',
  'x'.repeat(300),
  '\u0000\u202e\ud800',
  '../../etc/passwd',
  '__proto__',
  [],
  {},
  [[[[[[[[]]]]]]]],
  new Uint8Array(0),
  new Uint8Array(40),
  Array.from({ length: 2_000 }, (_, i) => i),
];

/** A session of some role that calls methods with wrong values, or whose frames are no MessagePack any more. */
export function protocolCase(dice: Dice) {
  const role = dice.pick(ROLES);
  const methods = Object.keys(CALLS);
  const frames = Array.from({ length: dice.below(10) + 1 }, (_, i) => {
    const method = dice.pick(methods);
    const call = { id: i + 1, method, params: wrong(dice, CALLS[method], 0) };
    const bytes = encodeFrame(dice.below(8) === 0 ? { ...call, id: dice.pick(VALUES) } : call);
    return webSocketFrame(dice.below(3) === 0 ? mutated(dice, bytes) : bytes);
  });
  const opening = [Buffer.from(upgradeRequest()), hello({ token: TOKENS[role] })];
  const credit = webSocketFrame(encodeFrame({ stream: dice.below(12), credit: dice.below(300) }));
  return { title: `protocol as ${role}`, steps: [...opening, Buffer.concat([...frames, credit])] };
}

/** The value with one or a few of the values in it exchanged, left out or added. */
function wrong(dice: Dice, value: unknown, depth: number): unknown {
  if (dice.below(6) === 0) return dice.pick(VALUES);
  if (depth > 4 || typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((one) => wrong(dice, one, depth + 1));
  const entries = Object.entries(value).filter(() => dice.below(12) > 0);
  if (dice.below(12) === 0) entries.push(['more', dice.pick(VALUES)]);
  return Object.fromEntries(entries.map(([key, one]) => [key, wrong(dice, one, depth + 1)]));
}
