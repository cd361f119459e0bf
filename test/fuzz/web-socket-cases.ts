import type { Dice } from '../load/workload.js';
import {
  hello,
  upgradeRequest,
  webSocketFrame,
  webSocketHeader,
} from '../system/hostile/support/upgrades.js';
import { cut, mutated, randomBytes } from './mutate.js';

const CHANGES = [
  {},
  {},
  { origin: 'https://evil.example' },
  { 'sec-websocket-key': 'x' },
  { 'sec-websocket-version': '0x0d' },
  { 'sec-websocket-protocol': 'a, a' },
  { 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits=99' },
  { upgrade: 'WebSocket' },
  { upgrade: 'h2c, websocket' },
  { connection: 'keep-alive, Upgrade' },
  { host: undefined },
];

/** An upgrade, whole or not, and frames that break RFC 6455 in some way, with a hello before them or none. */
export function webSocketCase(dice: Dice) {
  const upgrade = Buffer.from(upgradeRequest(dice.pick(CHANGES)));
  const first = dice.below(4) === 0 ? mutated(dice, upgrade) : upgrade;
  const frames = Array.from({ length: dice.below(12) + 1 }, () => frame(dice));
  const before = dice.below(2) === 0 ? [hello()] : [];
  return { title: 'websocket', steps: [first, ...before, ...cut(dice, Buffer.concat(frames))] };
}

function frame(dice: Dice): Buffer {
  const payload = randomBytes(dice, dice.pick([0, 1, 2, 125, 126, 500]));
  const firstByte = dice.below(256);
  const close = Buffer.from([0, 0, ...payload.subarray(0, 100)]);
  close.writeUInt16BE(dice.pick([0, 999, 1000, 1005, 1006, 1011, 3000, 5000, 65_535]));
  return dice.pick([
    () => webSocketFrame(payload),
    () => webSocketFrame(payload, 2, firstByte),
    // Without a mask, which clients must not send.
    () => Buffer.concat([Buffer.from([0x82, payload.length & 0x7f]), payload]),
    () => webSocketFrame(payload, 2, dice.pick([0x02, 0x00, 0x01])),
    () => webSocketFrame(payload, dice.pick([8, 9, 10])),
    () => webSocketFrame(close, 8),
    () => Buffer.concat(Array.from({ length: 40 }, () => webSocketFrame(payload.subarray(0, 125), 9))),
    () => webSocketHeader(dice.pick([65_536, 2 ** 24, 2 ** 31, 2 ** 53])),
    () => mutated(dice, webSocketFrame(payload)),
  ])();
}
