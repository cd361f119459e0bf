import { expect, it } from 'vitest';
import { Silence } from '../../../http-api/silence.js';

it('is filled until something comes', async () => {
  let filled = 0;
  let say: (what: string) => void = () => {};
  const said = new Promise<string>((resolve) => {
    say = resolve;
  });
  const silence = new Silence(async () => {
    filled++;
    if (filled === 3) say('hoot');
  }, 1);
  expect(await silence.during(said)).toBe('hoot');
  const before = filled;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(filled).toBe(before);
});
