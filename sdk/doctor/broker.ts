import type { BrokerLook } from '../../bus/nats/look.js';
import type { ErrorCodeName } from '../../errors/index.js';
import { type Check, type Finding, fail, failure, pass, skip, warn } from './check.js';
import type { SeenBroker } from './see-broker.js';
import type { DoctorSession } from './session.js';

const PLAIN_FIX =
  'Give the broker a certificate (docs/fleet.md, "A certificate"), then `pynq-llm deploy BOARD --fleet URL --fleet-fingerprint SHA256`.';
const CLOCK_FIX =
  'On the board: `sudo timedatectl set-ntp true`, or without internet `sudo date -u -s @SECONDS` with the output of `date +%s` on the laptop.';

/** One thing of a broker that was seen. */
type Judge = (look: BrokerLook, seen: SeenBroker, session: DoctorSession) => Finding | Promise<Finding>;

const JUDGES: readonly { readonly name: string; readonly judge: Judge }[] = [
  {
    name: 'broker version',
    judge: (look) => lacking(look, 'BUS_BROKER_TOO_OLD') ?? pass(`nats-server ${look.greeting.version}`),
  },
  { name: 'JetStream', judge: (look) => lacking(look, 'BUS_NO_JETSTREAM') ?? pass('is on') },
  {
    name: 'largest message',
    judge: (look) => lacking(look, 'BUS_SERVER_LIMIT') ?? pass(`${look.greeting.maxPayload} bytes`),
  },
  { name: 'broker certificate', judge: certificate },
  { name: "board's clock for it", judge: clock },
  {
    name: 'keys',
    judge: ({ greeting }) =>
      greeting.asksForKey
        ? pass('the broker asks who comes')
        : warn(
            'the broker lets everybody in, who may then read and write everything of the fleet',
            'Give it the list of members: `pynq-llm fleet enrol`, and docs/fleet.md for its configuration.',
          ),
  },
];

/** The broker of the board's fleet, seen from the board; nothing where it is of none. */
export const BROKER_CHECKS: readonly Check<DoctorSession>[] = [
  {
    name: 'broker',
    group: 'fleet',
    run: async (session) => {
      const seen = await session.broker();
      if (seen === undefined) return undefined;
      const { look, url, ms } = seen;
      if (typeof look === 'string') return skip(look);
      if (!(look instanceof Error)) return pass(`${look.place} greets the board in ${ms.toFixed(0)} ms`);
      if ('code' in look && look.code === 'BUS_URL_INVALID') return failure(look);
      return fail(
        `${url} cannot be reached from the board: ${look.message}`,
        'Check that nats-server runs there and listens on more than loopback (`listen: "0.0.0.0:4222"`), that no firewall is between, and the address that the board was given (`pynq-llm deploy BOARD --fleet URL`).',
      );
    },
  },
  ...JUDGES.map(
    ({ name, judge }): Check<DoctorSession> => ({
      name,
      group: 'fleet',
      run: async (session) => {
        const seen = await session.broker();
        if (seen === undefined) return undefined;
        const { look } = seen;
        if (typeof look === 'string' || look instanceof Error) return skip('the broker was not reached');
        return judge(look, seen, session);
      },
    }),
  ),
];

function lacking({ lacks }: BrokerLook, code: ErrorCodeName): Finding | undefined {
  const found = lacks.find((one) => one.code === code);
  return found && failure(found);
}

function certificate(look: BrokerLook, { fingerprint }: SeenBroker): Finding {
  const { certificate: shown, wantsTls } = look;
  if (shown === undefined)
    return fingerprint !== undefined || wantsTls
      ? fail('the broker offers no TLS, which the board demands', PLAIN_FIX)
      : warn('the broker offers no TLS: prompts and answers cross the network in plain text', PLAIN_FIX);
  if (fingerprint === undefined)
    return warn(
      `${shown.fingerprint}; the board pins none`,
      "Compare it with the broker's own (`openssl x509 -in broker.pem -noout -fingerprint -sha256`), then `pynq-llm deploy BOARD --fleet URL --fleet-fingerprint SHA256`.",
    );
  const digits = (text: string) => text.replaceAll(':', '').toUpperCase();
  if (digits(shown.fingerprint) !== digits(fingerprint))
    return fail(
      `the broker shows ${shown.fingerprint}; the board pins ${fingerprint}`,
      'Where the certificate was changed on purpose, deploy with the new --fleet-fingerprint; else somebody stands between.',
    );
  if (shown.isSelfSigned) return pass('is the pinned one');
  return fail(
    'the pinned certificate is signed by another one',
    'Make one that is self-signed (docs/fleet.md, "A certificate").',
  );
}

/** A board without a battery begins in the past, in which a certificate is not good yet. */
async function clock(look: BrokerLook, _seen: SeenBroker, session: DoctorSession): Promise<Finding> {
  const { certificate: shown } = look;
  if (shown === undefined) return skip('there is no certificate, and nothing else of a fleet goes by clocks');
  const now = (await session.facts())?.clockMs;
  if (now === undefined) return skip('the board was not asked');
  const date = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const detail = `${date(now)}, certificate from ${date(shown.from)} to ${date(shown.to)}`;
  if (now < shown.from) return fail(`${detail}: not good yet for this board`, CLOCK_FIX);
  if (now > shown.to)
    return fail(`${detail}: over`, `Make the broker a new certificate; if the date is wrong: ${CLOCK_FIX}`);
  return pass(detail);
}
