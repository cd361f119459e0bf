export { Gateway, type GatewayOptions } from './gateway/gateway.js';
export type { MemberAgent } from './member/agent-link.js';
export { Member, type MemberOptions } from './member/member.js';
export { type MockFleetOptions, startMockFleet } from './mock-fleet.js';
