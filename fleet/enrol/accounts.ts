import {
  ALL_PAGES,
  BEGINNINGS,
  BOARDS,
  BOARDS_API,
  callsOf,
  controlOf,
  ENDS,
  LOG,
  MODEL_FILE,
  MODEL_PIECE,
  PLANS,
  TOKENS,
  WORK_QUEUE,
} from '../subjects.js';

// A broker's answers go to whatever subject the question names, with the rights of the broker itself: an empty one that is sent to
// $JS.API.STREAM.DELETE.FLEET_LOG deletes that stream. So boards are in an account of their own, in which no such subject is
// heard, and which has of the fleet's only what boards need. What each of them may do of that its permissions say.

/** A question may be answered for as long as the bus has anybody wait. */
const ANSWERS = 'response_threshold: "11m"';

const API = [
  `CONSUMER.INFO.${WORK_QUEUE}.*`,
  `CONSUMER.MSG.NEXT.${WORK_QUEUE}.*`,
  `STREAM.INFO.KV_${PLANS}`,
  `DIRECT.GET.KV_${PLANS}`,
  `DIRECT.GET.KV_${PLANS}.>`,
];
const QUESTIONS = [
  `$JS.ACK.${WORK_QUEUE}.>`,
  ...[BEGINNINGS, TOKENS, ENDS].map((kind) => `${LOG}.${kind}.*.*`),
  `$KV.${BOARDS}.*`,
  MODEL_FILE,
  MODEL_PIECE,
];
const NEWS = [`$KV.${PLANS}.>`, controlOf('*')];

/** The accounts of a fleet's broker, as nats-server's configuration has them. @param gateways entries of users @param boards likewise */
export function accountsText(gateways: string, boards: string): string {
  const api = API.map((subject) => `$JS.API.${subject}`);
  return `accounts {
FLEET {
jetstream: enabled
users: [
${gateways}]
exports: [
${lines([
  ...[...api, ...QUESTIONS].map((subject) => `{ service: "${subject}", accounts: [BOARDS], ${ANSWERS} }`),
  ...NEWS.map((subject) => `{ stream: "${subject}", accounts: [BOARDS] }`),
])}]
imports: [
{ service: { account: BOARDS, subject: "${callsOf('*')}" } }
{ stream: { account: BOARDS, subject: "${ALL_PAGES}" } }
]
}
BOARDS {
users: [
${boards}]
exports: [
{ service: "${callsOf('*')}", accounts: [FLEET], ${ANSWERS} }
{ stream: "${ALL_PAGES}", accounts: [FLEET] }
]
imports: [
${lines([
  ...API.map(
    (subject, i) => `{ service: { account: FLEET, subject: "${api[i]}" }, to: "${BOARDS_API}.${subject}" }`,
  ),
  ...QUESTIONS.map((subject) => `{ service: { account: FLEET, subject: "${subject}" } }`),
  ...NEWS.map((subject) => `{ stream: { account: FLEET, subject: "${subject}" } }`),
])}]
}
}
`;
}

function lines(entries: readonly string[]): string {
  return entries.map((entry) => `${entry}\n`).join('');
}
