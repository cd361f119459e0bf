import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { feedWatchdog } from '../../../agent/session/feed-watchdog.js';
import { silentLog } from '../../../listen/index.js';
import { temporaryDirectory } from '../../system/support/agent.js';

describe("systemd's watchdog", () => {
  let folder: ReturnType<typeof temporaryDirectory>;
  let environment: NodeJS.ProcessEnv;
  const said = () => {
    const file = join(folder.path, 'said');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };

  beforeEach(() => {
    folder = temporaryDirectory();
    const program = join(folder.path, 'systemd-notify');
    writeFileSync(program, `#!/bin/sh\necho "$1 to $NOTIFY_SOCKET" >> ${folder.path}/said\n`);
    chmodSync(program, 0o755);
    environment = {
      PATH: `${folder.path}:${process.env.PATH}`,
      NOTIFY_SOCKET: '/run/notify',
      WATCHDOG_USEC: '400000',
    };
  });
  afterEach(() => folder[Symbol.dispose]());

  it('hears of the agent again and again, until the agent ends', async () => {
    using _feeding = feedWatchdog(silentLog, environment);
    await expect.poll(() => said().split('\n').length).toBeGreaterThan(3);
    expect(new Set(said().trim().split('\n'))).toEqual(new Set(['WATCHDOG=1 to /run/notify']));
  });

  it('hears nothing where the unit has none', async () => {
    using _feeding = feedWatchdog(silentLog, { ...environment, WATCHDOG_USEC: undefined });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(said()).toBe('');
  });
});
