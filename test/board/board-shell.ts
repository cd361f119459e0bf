import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'ssh2';

const RETRY_MS = 1_000;

/** The image's user and password, as on PYNQ's own images. */
export const LOGIN = { user: 'xilinx', password: 'xilinx' } as const;

/**
 * A look at the board that shares no code with what is tested: a login by password over SSH. Used to see what a
 * command of the project has done, never to do it.
 */
export class BoardShell implements Disposable {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  /** Logs in, as soon as the board lets one: QEMU takes connections before anything on the board listens, and resets them. */
  static async connect(port: number, timeoutMs = 180_000): Promise<BoardShell> {
    const end = performance.now() + timeoutMs;
    const { user: username, password } = LOGIN;
    for (;;) {
      const client = new Client();
      // Here as long as the connection: a board that goes down takes it along, and the next command tells.
      client.on('error', () => {});
      const readyTimeout = Math.max(1, end - performance.now());
      client.connect({ host: '127.0.0.1', port, username, password, readyTimeout });
      try {
        await once(client, 'ready');
        return new BoardShell(client);
      } catch (error) {
        client.destroy();
        if (performance.now() > end) throw error;
        await delay(RETRY_MS);
      }
    }
  }

  /** Runs a command and returns what it prints, trimmed. @throws Error if its status is not 0 */
  async run(command: string, timeoutMs = 60_000): Promise<string> {
    const { status, output } = await this.try(command, timeoutMs);
    if (status !== 0) throw new Error(`On the board: ${command}: status ${status}\n${output}`);
    return output;
  }

  /** Runs a command as root. @throws Error if its status is not 0 */
  async sudo(command: string, timeoutMs = 60_000): Promise<string> {
    return this.run(asRoot(command), timeoutMs);
  }

  /** Runs a command as root that may fail, or that may not come to an end before the connection does. */
  async trySudo(command: string, timeoutMs = 60_000): Promise<void> {
    await this.try(asRoot(command), timeoutMs);
  }

  /** Runs a command that may fail; both outputs come together. */
  async try(command: string, timeoutMs = 60_000): Promise<{ status: number | null; output: string }> {
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        late = setTimeout(() => reject(new Error(`On the board: ${command}: no end in time`)), timeoutMs);
        this.#client.exec(command, (error, channel) => {
          if (error !== undefined) return reject(error);
          let output = '';
          const take = (text: string) => {
            output += text;
          };
          channel.setEncoding('utf8').on('data', take);
          channel.stderr.setEncoding('utf8').on('data', take);
          channel.on('close', (status: number | null) => resolve({ status, output: output.trim() }));
        });
      });
    } finally {
      clearTimeout(late);
    }
  }

  /** Writes a file on the board. */
  async send(content: Buffer, remotePath: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#client.sftp((error, sftp) => {
        if (error !== undefined) return reject(error);
        sftp.writeFile(remotePath, content, (failed) => {
          sftp.end();
          if (failed) reject(failed);
          else resolve();
        });
      });
    });
  }

  [Symbol.dispose](): void {
    this.#client.end();
  }
}

function asRoot(command: string): string {
  return `echo ${LOGIN.password} | sudo -S -p '' sh -c '${command.replaceAll("'", "'\\''")}'`;
}
