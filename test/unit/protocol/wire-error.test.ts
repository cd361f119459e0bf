import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { encodeFrame, errorFromWire, errorToWire } from '../../../protocol/index.js';

describe('an error on the wire', () => {
  it('is shortened in its middle where it quotes more than a frame should carry', () => {
    const quoted = `begin ${'x'.repeat(9 * 1024 * 1024)} end`;
    const error = new PynqLlmError('DRIVER_UNKNOWN_REGISTER', quoted, {
      context: { register: quoted, size: 7 },
    });
    const wire = errorToWire(error, 'AGENT_INTERNAL');
    expect(encodeFrame({ error: wire }).byteLength).toBeLessThan(32 * 1024);
    expect(wire.context).toMatchObject({ register: expect.stringMatching(/^begin x+ … x+ end$/), size: 7 });
    expect(errorFromWire(wire)).toMatchObject({ code: 'DRIVER_UNKNOWN_REGISTER' });
  });

  it('is whole where it is short', () => {
    const error = new PynqLlmError('DRIVER_UNKNOWN_REGISTER', 'There is none.', {
      context: { register: 'a.B' },
    });
    expect(errorToWire(error, 'AGENT_INTERNAL')).toEqual(error.toWire());
  });

  it('says of what was not expected only what happened, without its stack', () => {
    const wire = errorToWire(new TypeError(`x is ${'long '.repeat(10_000)}`), 'AGENT_INTERNAL');
    expect(wire.code).toBe('AGENT_INTERNAL');
    expect(wire.message.length).toBeLessThan(8_192);
    expect(wire.message).not.toContain('wire-error.test');
  });
});
