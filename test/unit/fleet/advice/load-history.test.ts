import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import { LoadHistory } from '../../../../fleet/advice/load-history.js';
import { adviceOf } from '../../../../fleet/gateway/fleet-advice.js';
import { LoadMeter } from '../../../../fleet/gateway/load-meter.js';
import { readHistory } from '../../../../fleet/index.js';
import { silentLog } from '../../../../listen/index.js';
import { refusalOf } from '../models.js';

const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-history-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the history of a fleet', () => {
  it('is what was written, also after a restart, in at most two files, and without what a power cut broke', async () => {
    const path = join(folder, 'rotated.jsonl');
    let history = await LoadHistory.open(path, silentLog, 10);
    for (let i = 0; i < 25; i++) await history.add({ at: i, busyBoards: i / 10, tokens: i });
    expect(readHistory(path).map(({ at }) => at)).toEqual([20, 21, 22, 23, 24]);
    expect(readHistory(`${path}.1`).map(({ at }) => at)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(history.samples.length).toBeLessThanOrEqual(20);
    appendFileSync(path, '\n{"at":99,"busy');
    history = await LoadHistory.open(path, silentLog, 10);
    expect(history.samples.map(({ at }) => at)).toEqual(Array.from({ length: 15 }, (_, i) => i + 10));
    await history.add({ at: 100, busyBoards: 1 });
    expect(readFileSync(path, 'utf8').split('\n').at(-1)).toBe('{"at":100,"busyBoards":1}');
    expect((await LoadHistory.open(path, silentLog, 10)).samples.at(-1)?.at).toBe(100);
  });

  it('has a line a minute: the mean of how many boards were busy, and the tokens since the line before', async () => {
    const history = await LoadHistory.open(join(folder, 'metered.jsonl'), silentLog);
    let look: () => void = () => {};
    let [busy, tokens, stopped] = [0, 100, false];
    const clock = {
      now: () => 0,
      after: (_: number, action: () => void) => {
        look = action;
        return () => {
          stopped = true;
        };
      },
    };
    const meter = new LoadMeter({
      clock,
      history,
      time: () => 777,
      busyBoards: () => busy,
      tokens: () => tokens,
    });
    for (let i = 0; i < 12; i++) {
      busy = i < 3 ? 4 : 2;
      tokens += 5;
      look();
    }
    expect(history.samples).toEqual([{ at: 777, busyBoards: 2.5, tokens: 60 }]);
    meter.close();
    expect(stopped).toBe(true);
  });

  it('says how many boards there should be, and what a token costs where all boards say what they take', () => {
    const board = (change: object) => ({
      name: 'a',
      owner: 'a',
      record: { isDraining: false, info: { description: { ...loadBoardDescription('pynq-z1'), ...change } } },
    });
    const boards = [board({ watts: 3, price: 0.6 }), board({ watts: 5 })] as never[];
    expect(refusalOf(() => adviceOf([], boards, {})).code).toBe('FLEET_HISTORY_SHORT');
    const samples = Array.from({ length: 60 }, (_, i) => ({ at: i * 60_000, busyBoards: 2, tokens: 80 }));
    const advice = adviceOf(samples, boards, {});
    // 8 W for an hour, 4,800 tokens; one of them has no price.
    expect(advice).toMatchObject({ boards: 2, wanted: 3, samples: 60, joulesPerToken: 6 });
    expect(advice.pricePerMillion).toBeUndefined();
  });
});
