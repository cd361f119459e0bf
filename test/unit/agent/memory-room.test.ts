import { expect, it } from 'vitest';
import { MemoryRoom } from '../../../agent/worker/memory-room.js';

it('memory that a model was promised and has not touched is not given to another one', () => {
  let resident = 100;
  let available = 1000;
  const room = new MemoryRoom(
    () => ({ available, source: 'the test', uploads: 8, isMock: true }),
    () => resident,
  );
  expect(room.left()).toMatchObject({ available: 1000, uploads: 8 });
  room.promise('a', 300);
  expect(room.left()).toMatchObject({ available: 700, uploads: 0 });
  // It touches 200 of them, which the system does not call available any more.
  [resident, available] = [300, 800];
  expect(room.left().available).toBe(700);
  expect(room.alone().available).toBe(1000);
  room.promise('b', 50);
  expect(room.left().available).toBe(650);
  room.free('a');
  room.free('b');
  expect(room.left().available).toBe(800);
  expect(room.alone().available).toBe(800);
});
