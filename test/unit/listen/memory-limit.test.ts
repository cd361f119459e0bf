import { describe, expect, it } from 'vitest';
import { MemoryLimit } from '../../../listen/memory-limit.js';

const MIB = 1024 * 1024;

function limited() {
  const sut = new MemoryLimit(48 * MIB);
  const ended: string[] = [];
  const add = (name: string) => {
    let bytes = 0;
    const user = { bytes: () => bytes, end: (most: number) => ended.push(`${name} ${most / MIB}`) };
    sut.add(user);
    return {
      take: (more: number) => {
        bytes += more;
        sut.check(user);
      },
      remove: () => sut.remove(user),
    };
  };
  return { add, ended };
}

describe('memory that connections have together', () => {
  it('ends the connection that takes the most where it is too much', () => {
    const { add, ended } = limited();
    const [small, large] = [add('small'), add('large')];
    large.take(30 * MIB);
    small.take(18 * MIB);
    expect(ended).toEqual([]);
    small.take(1);
    expect(ended).toEqual(['large 30']);
    small.take(20 * MIB);
    expect(ended).toEqual(['large 30']);
  });

  it('counts what is given back no more', () => {
    const { add, ended } = limited();
    const [one, other] = [add('one'), add('other')];
    one.take(40 * MIB);
    one.take(-40 * MIB);
    other.take(40 * MIB);
    other.remove();
    one.take(40 * MIB);
    expect(ended).toEqual([]);
  });
});
