import { expect, it } from 'vitest';
import { toldUrl } from '../../../fleet/serve.js';

it.each([
  ['ws://0.0.0.0:8080', 'ws://shelf:8080'],
  ['wss://[::]:8080', 'wss://shelf:8080'],
  ['ws://192.168.2.1:8080', 'ws://192.168.2.1:8080'],
  ['unix:/run/fleet.sock', 'unix:/run/fleet.sock'],
])('a gateway that listens at %s is told of as %s', (listening, told) => {
  expect(toldUrl(listening, 'shelf')).toBe(told);
});
