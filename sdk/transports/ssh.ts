import type { Duplex } from 'node:stream';
import { openSsh, parseSshUrl, type SshConnection, type SshOptions } from '../ssh/index.js';
import type { OpenTransport, Transport } from './transport.js';
import { webSocketOver } from './web-socket.js';

/** What a login needs that its URL does not say. */
export type SshLoginOptions = Pick<SshOptions, 'prompts' | 'hostKey' | 'password'>;

/** Transport through SSH, with the login that may take the user's time. */
export interface SshTransport {
  /** Logs in, asking where needed: outside the deadline of a connection. The next `open` uses the login. */
  prepare(signal: AbortSignal | undefined): Promise<void>;
  readonly open: OpenTransport;
  /** Ends a login that no `open` used. */
  dispose(): Promise<void>;
}

/**
 * An agent behind an SSH server: its Unix socket, or its port on the board's loopback interface. A broken connection
 * logs in again with what was accepted, and asks nothing.
 * @throws PynqLlmError SSH_TARGET
 */
export function throughSsh(url: string, options: SshLoginOptions): SshTransport {
  const { target, agent } = parseSshUrl(url);
  const secrets = { password: undefined, passphrases: new Map<string, string>() };
  let waiting: SshConnection | undefined;
  return {
    prepare: async (signal) => {
      waiting = await openSsh(target, { ...options, secrets, signal });
    },
    open: async (events, signal) => {
      const connection =
        waiting ?? (await openSsh(target, { ...options, prompts: undefined, secrets, signal }));
      waiting = undefined;
      try {
        const open = webSocketOver(() => connection.forwardTo(agent), url);
        return withLogin(await open(events, signal), connection);
      } catch (error) {
        await connection.close();
        throw error;
      }
    },
    dispose: async () => waiting?.close(),
  };
}

/** An agent at the other end of a stream that somebody else opened and closes. */
export function throughStream(stream: () => Promise<Duplex>, name: string): OpenTransport {
  return webSocketOver(stream, name);
}

function withLogin(transport: Transport, connection: SshConnection): Transport {
  return {
    send: (frame) => transport.send(frame),
    sendUpload: (...upload) => transport.sendUpload(...upload),
    close: async () => {
      await transport.close();
      await connection.close();
    },
  };
}
