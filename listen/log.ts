/** What the agent writes its log with; a pino logger is one. */
export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** For an agent inside another program, whose output is not the agent's. */
export const silentLog: Log = { info() {}, warn() {}, error() {} };
