import { Agent } from 'node:http';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { putUpload } from '../../../sdk/transports/put-upload.js';

it('an upload that is aborted before it has a socket ends at once, with the reason, and lets its body go', async () => {
  // A tunnel that never opens.
  class Waiting extends Agent {
    override createConnection = (): undefined => undefined;
  }
  const agent = new Waiting();
  const body = Readable.from([new Uint8Array(10)]);
  const abort = new AbortController();
  const place = { url: new URL('http://board/'), how: { agent }, name: 'a board' };
  const range = { offset: 0, byteLength: 10, modelBytes: 10 };
  const sent = putUpload(place, 'id', range, body, { token: undefined, signal: abort.signal });
  await new Promise((resolve) => setTimeout(resolve, 20));
  abort.abort(new Error('enough'));
  await expect(sent).rejects.toThrow('enough');
  expect(body.destroyed).toBe(true);
  agent.destroy();
});
