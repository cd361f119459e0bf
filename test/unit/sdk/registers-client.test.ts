import { describe, expect, it } from 'vitest';
import { RegistersClient } from '../../../sdk/registers-client.js';
import { scriptedAgent } from './scripted-agent.js';

const REGISTER = {
  name: 'hwc.RESET',
  window: 'hwc',
  offset: 4,
  address: 0x4000_0004,
  access: 'rw',
  reset: 0,
  description: 'resets the counters',
  source: 'test',
  fields: [],
};

describe('the registers of a board', () => {
  it('are listed once, by who lists and reads them', async () => {
    const agent = scriptedAgent(({ method }) =>
      method === 'registers.list' ? { registers: [REGISTER] } : { values: [7] },
    );
    const connection = await agent.connect();
    const registers = new RegistersClient(connection);
    const [{ name }] = await registers.list();
    const byName = await registers.read([name]);
    expect(byName).toEqual([{ name, address: REGISTER.address, value: 7, fields: [] }]);
    expect(await registers.read([{ window: 'hwc', offset: 4 }])).toEqual(byName);
    expect(agent.calls.map(({ method }) => method)).toEqual([
      'registers.list',
      'registers.read',
      'registers.read',
    ]);
    await connection.close();
  });
});
