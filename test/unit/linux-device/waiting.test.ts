import { describe, expect, it } from 'vitest';
import { openLinuxBoard } from '../../../linux-device/board.js';
import { errno, FakeMachine, goodZ1, z1 } from './fake-machine.js';

const DMA_NODES = ['/dev/uio2', '/dev/uio3', '/dev/uio4', '/dev/uio5'];

describe('waiting for the device', () => {
  it('asks at first, and does not sleep for what is already so', () => {
    const machine = new FakeMachine(goodZ1);
    const board = openLinuxBoard(z1, { system: machine });
    expect(board.waitUntil(() => true, 0)).toBe(true);
  });

  it('ends at the deadline of a clock that never goes back, after one last look', () => {
    const machine = new FakeMachine(goodZ1);
    const board = openLinuxBoard(z1, { system: machine });
    let asked = 0;
    const start = machine.clockUs;
    expect(board.waitUntil(() => ++asked < 0, 5000)).toBe(false);
    expect(machine.clockUs - start).toBeLessThan(8000);
    expect(asked).toBeGreaterThan(1);
  });

  it('polls where no UIO device has an interrupt', () => {
    const board = openLinuxBoard(z1, { system: new FakeMachine(goodZ1) });
    let asked = 0;
    expect(board.report.interrupts).toBe(0);
    expect(board.waitUntil(() => ++asked === 20, 1_000_000)).toBe(true);
  });

  it('sleeps until an interrupt of a DMA engine, enabling it each time, and then looks', () => {
    const machine = new FakeMachine(goodZ1);
    for (const node of DMA_NODES) machine.interrupts.add(node);
    const board = openLinuxBoard(z1, { system: machine });
    expect(board.report.interrupts).toBe(4);
    machine.written.length = 0;
    let interrupts = 0;
    machine.onWaitReadable = () => ++interrupts > 0;
    expect(board.waitUntil(() => interrupts === 3, 1_000_000)).toBe(true);
    expect(machine.written.map(({ path }) => path)).toEqual([...DMA_NODES, ...DMA_NODES, ...DMA_NODES]);
    expect(machine.written[0].text).toBe('\x01\0\0\0');
  });

  it('looks again after 10 ms although no interrupt came, and no later than the deadline', () => {
    const machine = new FakeMachine(goodZ1);
    for (const node of DMA_NODES) machine.interrupts.add(node);
    const board = openLinuxBoard(z1, { system: machine });
    const sleeps: number[] = [];
    machine.onWaitReadable = (timeoutMs) => {
      sleeps.push(timeoutMs);
      machine.clockUs += timeoutMs * 1000;
      return false;
    };
    expect(board.waitUntil(() => false, 25_000)).toBe(false);
    expect(sleeps[0]).toBe(10);
    expect(sleeps.at(-1)).toBeLessThanOrEqual(10);
    expect(sleeps.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(25);
  });

  it('names a UIO device that went away', () => {
    const machine = new FakeMachine(goodZ1);
    machine.interrupts.add('/dev/uio2');
    const { files } = machine;
    const gone = {
      ...files,
      readSync: () => {
        throw errno('EIO', '/dev/uio2');
      },
    };
    Object.defineProperty(machine, 'files', { value: gone });
    const board = openLinuxBoard(z1, { system: machine });
    machine.onWaitReadable = () => true;
    expect(() => board.waitUntil(() => false, 1_000_000)).toThrow(/LINUX_INTERRUPT_FAILED.*EIO/);
  });

  it('needs the right to open the node of an interrupt', () => {
    const machine = new FakeMachine(goodZ1);
    const { files } = machine;
    const denied = {
      ...files,
      openSync: (path: string, flags: number) => {
        if (path === '/dev/uio3') throw errno('EACCES', path);
        return files.openSync(path, flags);
      },
    };
    Object.defineProperty(machine, 'files', { value: denied });
    expect(() => openLinuxBoard(z1, { system: machine })).toThrow(
      /LINUX_OPEN_FAILED.*\/dev\/uio3.*permission is denied/,
    );
    expect(machine.mappedNodes).toEqual([]);
  });
});
