import { createWriteStream } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { startAgent } from '../agent/index.js';

/** Where the other process finds what it measures; printed as one JSON line. */
export interface AgentChild {
  readonly agentUrl: string;
  /** Copies what it receives to a file, and answers with one byte when the sender has ended and the file is written. */
  readonly copyPort: number;
  /** Sends every WebSocket message back. */
  readonly echoUrl: string;
}

// The agent and the bare servers that it is compared with, in one process; ends with its parent's standard input.
const folder = process.argv[2]!;
const agent = await startAgent({
  device: 'mock:',
  listen: 'ws://127.0.0.1:0',
  storeDir: join(folder, 'store'),
});

const copy = createServer({ allowHalfOpen: true }, (socket) => {
  const file = createWriteStream(join(folder, 'copy.bin'));
  socket.on('error', (error) => file.destroy(error));
  socket.pipe(file);
  file.on('finish', () => socket.end('.'));
});
copy.listen(0, '127.0.0.1');
const echo = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
echo.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
await Promise.all([copy, echo].map((server) => new Promise((resolve) => server.once('listening', resolve))));

const child: AgentChild = {
  agentUrl: agent.url,
  copyPort: (copy.address() as AddressInfo).port,
  echoUrl: `ws://127.0.0.1:${(echo.address() as AddressInfo).port}`,
};
process.stdout.write(`${JSON.stringify(child)}\n`);
process.stdin.resume().on('end', () => process.exit(0));
