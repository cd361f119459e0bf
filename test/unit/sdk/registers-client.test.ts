import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { RegistersClient } from '../../../sdk/registers-client.js';
import { scriptedAgent } from './scripted-agent.js';

const STATUS = {
  name: 'control.STATUS_0',
  window: 'control',
  offset: 4,
  address: 0x43c0_0004,
  access: 'ro',
  reset: 0,
  description: 'state',
  source: 'test',
  fields: [{ name: 'state', lsb: 1, width: 2, access: 'ro', description: 'state', values: { 2: 'busy' } }],
};

describe('the registers of a board', () => {
  it('are asked for once, however often they are listed and read', async () => {
    const agent = scriptedAgent(({ method }) =>
      method === 'registers.list' ? { registers: [STATUS] } : { values: [0b101] },
    );
    const connection = await agent.connect();
    const registers = new RegistersClient(connection);
    expect((await registers.list()).map(({ name }) => name)).toEqual(['control.STATUS_0']);
    const read = await registers.read(['control.STATUS_0']);
    expect(read).toEqual(await registers.read([{ window: 'control', offset: 4 }]));
    expect(read[0].fields).toEqual([{ name: 'state', value: 2, label: 'busy' }]);
    expect(agent.calls.map(({ method }) => method).filter((method) => method !== 'hello')).toEqual([
      'registers.list',
      'registers.read',
      'registers.read',
    ]);
    await connection.close();
  });

  it('are asked for again after an answer that was refused', async () => {
    let refusals = 1;
    const agent = scriptedAgent(() => {
      if (refusals-- > 0) throw new PynqLlmError('AGENT_DEVICE_FAILED', 'not yet.');
      return { registers: [STATUS] };
    });
    const connection = await agent.connect();
    const registers = new RegistersClient(connection);
    await expect(registers.list()).rejects.toMatchObject({ code: 'AGENT_DEVICE_FAILED' });
    expect(await registers.list()).toHaveLength(1);
    await connection.close();
  });
});
