import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { fleetModel } from '../../../../fleet/index.js';
import { encodeFrame, FrameReader } from '../../../../fleet/links/frame.js';
import { makeIdentity } from '../../../../fleet/links/identity.js';
import { LinkPort } from '../../../../fleet/links/link-port.js';
import { PlanLinks } from '../../../../fleet/links/plan-links.js';
import { tensorCuts } from '../../../../fleet/plan/tensor-cut.js';
import { LaneMemory, largestPart, type StageBatch } from '../../../../llm/index.js';
import { TINY_STORIES } from '../../llm/models.js';
import { MemberThreads, openSource, runAlone } from '../../llm/tensor/members.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function portOf(identity = makeIdentity()): Promise<LinkPort> {
  const port = await LinkPort.open(identity, 0, '127.0.0.1');
  opened.push(() => port.close());
  return port;
}

const addressOf = ({ port, fingerprint }: LinkPort) => ({ host: '127.0.0.1', port, fingerprint });

/** Links of so many members of a plan. @param change of what one of them is told */
async function linked(
  count: number,
  lanes: readonly LaneMemory[],
  onBatch: (member: number, batch: StageBatch, hidden: Float32Array | undefined) => void = () => {},
  stateBytes = 0,
) {
  const ports = await Promise.all(Array.from({ length: count }, () => portOf()));
  const members = ports.map(addressOf);
  const all = await Promise.all(
    ports.map((port, own) =>
      PlanLinks.open(port, {
        plan: 7,
        own,
        members,
        lane: lanes[own]!,
        openMs: 30_000,
        stateBytes,
        onBatch: (batch, hidden) => onBatch(own, batch, hidden),
      }),
    ),
  );
  opened.push(() => {
    for (const links of all) links.close();
  });
  return { ports, members, all };
}

const lanesOf = (count: number, capacity: number) =>
  Array.from({ length: count }, () => LaneMemory.create(count, capacity));

const code = (name: string) => expect.objectContaining({ code: name });
const NOTHING = new Uint8Array(0);

describe('the identity of links', () => {
  it('is a certificate signed by its own key, which never expires, with the fingerprint that is told', () => {
    const { certificate, fingerprint } = makeIdentity();
    const read = new X509Certificate(certificate);
    expect(read.fingerprint256).toBe(fingerprint);
    expect(read.verify(read.publicKey)).toBe(true);
    expect(Date.parse(read.validTo)).toBeGreaterThan(Date.parse('9999-01-01'));
    expect(makeIdentity().fingerprint).not.toBe(fingerprint);
  });
});

describe('links between the members of a plan', () => {
  const source = { file: TINY_STORIES };
  const prompt = Array.from({ length: 20 }, (_, i) => 3 + ((i * 37) % 250));
  const requests = [
    { prompt, maxTokens: 6, ignoreEos: true, sampling: { temperature: 0 } },
    { prompt: prompt.slice(3), maxTokens: 6, ignoreEos: true, sampling: { temperature: 1, seed: 5 } },
  ];

  it.each([2, 3])(
    'carry what %i boards compute together: the bits of one',
    async (count) => {
      const threads = new MemberThreads();
      opened.push(() => threads.close());
      const model = fleetModel(openSource(source));
      const [cut] = tensorCuts(model, new Array<number>(count).fill(1));
      const lanes = lanesOf(count, largestPart(cut!, model.memory.headDim, 16));
      await linked(count, lanes);
      const settings = { source, cut: cut!, lanes };
      const work = { requests, engine: {} };
      const [first] = await threads.run(settings, work);
      expect(first!.outcomes).toEqual(runAlone(settings, work).outcomes);
      expect(first!.outcomes.map(({ tokens }) => tokens.length)).toEqual([6, 6]);
    },
    120_000,
  );

  const batch = (number: number): StageBatch => ({
    number,
    changes: [{ kind: 'adopt', cache: 1, tokens: [3, 4] }, { kind: 'clear' }],
    columns: [{ cache: 1, token: 5, position: 2, wantsLogits: true }],
    freeFrames: 9,
  });

  it('take batches of the first member to the others, in order', async () => {
    const got: [number, StageBatch][] = [];
    const { all } = await linked(3, lanesOf(3, 64), (member, one) => got.push([member, one]));
    for (const number of [0, 1]) all[0]!.sendBatch(batch(number));
    await expect.poll(() => got.length).toBe(4);
    for (const member of [1, 2])
      expect(got.filter(([to]) => to === member).map(([, one]) => one)).toEqual([batch(0), batch(1)]);
    expect(await all[1]!.roundTripMs(30_000)).toBeGreaterThan(0);
  });

  it('measure no longer than they are there', async () => {
    const { all } = await linked(2, lanesOf(2, 64));
    const measured = all[0]!.roundTripMs(30_000);
    all[0]!.close();
    await expect(measured).rejects.toThrowError(code('FLEET_LINK_LOST'));
    await expect(all[0]!.roundTripMs(30_000)).rejects.toThrowError(code('FLEET_LINK_LOST'));
  });

  it('take what the layers before left with a batch, and end the plan where it is not as much as there are columns', async () => {
    const got: (Float32Array | undefined)[] = [];
    const { all } = await linked(2, lanesOf(2, 64), (_member, _batch, hidden) => got.push(hidden), 8);
    const hidden = Float32Array.of(1.5, -2);
    all[0]!.sendBatch(batch(0), hidden);
    await expect.poll(() => got).toEqual([hidden]);
    // Of the first layers there would be none, of two columns more.
    for (const wrong of [undefined, Float32Array.of(1, 2, 3, 4), new Float32Array(new ArrayBuffer(4))]) {
      const { all: again } = await linked(2, lanesOf(2, 64), () => got.push(undefined), 8);
      again[0]!.sendBatch(batch(0), wrong);
      expect(await again[1]!.ended).toEqual(code('FLEET_LINK_FRAME'));
    }
    expect(got).toHaveLength(1);
  });

  it('are refused to a board with another certificate, and to one without, before it is heard', async () => {
    const [port, other] = [await portOf(), await portOf()];
    const lane = LaneMemory.create(2, 64);
    const members = [addressOf(port), addressOf(other)];
    const open = PlanLinks.open(port, { plan: 1, own: 0, members, lane, openMs: 3_000, onBatch: () => {} });
    open.catch(() => {});
    const foreign = makeIdentity();
    for (const keys of [{ cert: foreign.certificate, key: foreign.key }, {}]) {
      const { refused } = port;
      const socket = connect({
        ...addressOf(port),
        ...keys,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
      });
      socket.on('error', () => {});
      socket.write(encodeFrame({ kind: 'hello', plan: 1, batch: 0, number: 1, bytes: NOTHING }));
      let heard = 0;
      socket.on('data', () => heard++);
      await new Promise((resolve) => socket.once('close', resolve));
      expect(port.refused).toBe(refused + 1);
      expect(heard).toBe(0);
    }
    await expect(open).rejects.toEqual(code('FLEET_LINK_LOST'));
    expect(lane.ended).toBeDefined();
  });

  it('are refused by who connects, where another certificate is shown than was told', async () => {
    const [port, own] = [await portOf(), await portOf()];
    const members = [{ ...addressOf(port), fingerprint: makeIdentity().fingerprint }, addressOf(own)];
    const options = { plan: 1, own: 1, members, lane: LaneMemory.create(2, 64), openMs: 30_000 };
    await expect(PlanLinks.open(own, { ...options, onBatch: () => {} })).rejects.toEqual(
      code('FLEET_LINK_REFUSED'),
    );
  });

  it('are refused to a board of the plan before', async () => {
    const ports = [await portOf(), await portOf()];
    const members = ports.map(addressOf);
    const open = (plan: number, own: number) =>
      PlanLinks.open(ports[own]!, {
        plan,
        own,
        members,
        lane: LaneMemory.create(2, 64),
        openMs: 3_000,
        onBatch: () => {},
      });
    const results = await Promise.allSettled([open(2, 0), open(1, 1)]);
    expect(results).toEqual([
      { status: 'rejected', reason: code('FLEET_LINK_LOST') },
      { status: 'rejected', reason: code('FLEET_LINK_LOST') },
    ]);
    expect(ports[0]!.refused).toBeGreaterThan(0);
  });

  it('end the plan for all where one is lost', async () => {
    const lanes = lanesOf(3, 64);
    const { all } = await linked(3, lanes);
    all[1]!.close();
    expect(await all[0]!.ended).toEqual(code('FLEET_LINK_LOST'));
    expect(await all[2]!.ended).toEqual(code('FLEET_LINK_LOST'));
    expect(lanes.every((lane) => lane.ended !== undefined)).toBe(true);
  });

  it('end the plan where a message comes out of turn, or is none', async () => {
    for (const [kind, number, bytes] of [
      ['part', 3, NOTHING],
      ['part', 0, new Uint8Array(65)],
      ['batch', 0, Buffer.from('{"number":0}')],
      ['hello', 0, NOTHING],
    ] as const) {
      const ports = [await portOf(), await portOf()];
      const members = ports.map(addressOf);
      const lane = LaneMemory.create(2, 64);
      const open = PlanLinks.open(ports[1]!, {
        plan: 1,
        own: 1,
        members,
        lane,
        openMs: 30_000,
        onBatch: () => {},
      });
      ports[0]!.expect(members[1]!.fingerprint, (socket) => {
        socket.write(encodeFrame({ kind: 'hello', plan: 1, batch: 0, number: 0, bytes: NOTHING }));
        socket.write(encodeFrame({ kind, plan: 1, batch: 0, number, bytes }));
      });
      expect(await (await open).ended).toEqual(code('FLEET_LINK_FRAME'));
    }
  });
});

describe('frames', () => {
  it('are read however they are cut, and refused where they are none or too long', () => {
    const frame = { kind: 'part', plan: 3, batch: 4, number: 5, bytes: Uint8Array.of(1, 2, 3) } as const;
    const wire = Buffer.concat([encodeFrame(frame), encodeFrame({ ...frame, number: 6, bytes: NOTHING })]);
    for (let size = 1; size <= wire.length; size++) {
      const reader = new FrameReader(3);
      const read = [];
      for (let at = 0; at < wire.length; at += size)
        for (const one of reader.read(wire.subarray(at, at + size)))
          read.push({ ...one, bytes: [...one.bytes] });
      expect(read).toEqual([
        { ...frame, bytes: [1, 2, 3] },
        { ...frame, number: 6, bytes: [] },
      ]);
    }
    expect(() => [...new FrameReader(2).read(wire)]).toThrowError(code('FLEET_LINK_FRAME'));
    expect(() => [...new FrameReader(9).read(Buffer.from('GET / HTTP/1.1\r\nHost: board\r\n'))]).toThrowError(
      code('FLEET_LINK_FRAME'),
    );
  });
});
