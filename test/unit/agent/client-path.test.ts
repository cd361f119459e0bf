import { expect, it } from 'vitest';
import { clientPath } from '../../../agent/session/client-path.js';

it('what a client says of itself comes after its share', () => {
  const share = ['token', '10.0.0.9'];
  expect(clientPath(share, 3, undefined)).toEqual([...share, 'session 3']);
  expect(clientPath(share, 3, { client: 'ann' })).toEqual([...share, 'ann']);
  expect(clientPath(share, 3, { client: ['10.0.0.7', 'ann'] })).toEqual([...share, '10.0.0.7', 'ann']);
});
