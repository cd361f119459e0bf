/** The import rules of docs/ARCHITECTURE.md: which folder may import which, by its index.ts. Arrows never point back. */
const may = {
  errors: [],
  protocol: ['errors'],
  access: ['errors', 'protocol'],
  spans: ['errors', 'protocol'],
  listen: ['errors', 'protocol', 'access'],
  gguf: ['errors'],
  maths: ['errors'],
  bus: ['errors', 'protocol'],
  constraint: ['errors'],
  board: ['errors', 'gguf'],
  quantize: ['errors', 'gguf'],
  driver: ['errors', 'gguf', 'board'],
  'mock-device': ['errors', 'gguf', 'maths', 'board'],
  'linux-device': ['errors', 'board'],
  'firmware-bridge': ['errors', 'board', 'linux-device'],
  llm: ['errors', 'gguf', 'maths', 'constraint', 'board', 'driver'],
  agent: [
    'errors',
    'protocol',
    'access',
    'listen',
    'gguf',
    'constraint',
    'board',
    'driver',
    'llm',
    'firmware-bridge',
    'mock-device',
    'linux-device',
  ],
  sdk: ['errors', 'protocol', 'spans', 'gguf', 'quantize', 'firmware-bridge', 'agent'],
  'http-api': ['errors', 'protocol', 'spans', 'access', 'listen', 'sdk'],
  fleet: [
    'errors',
    'protocol',
    'spans',
    'access',
    'listen',
    'gguf',
    'bus',
    'board',
    'driver',
    'llm',
    'agent',
  ],
  bench: ['errors', 'agent', 'board', 'driver', 'gguf', 'linux-device', 'llm', 'mock-device', 'sdk', 'fleet'],
  cli: ['errors', 'sdk', 'http-api', 'agent', 'bench', 'bus', 'fleet'],
};
/** Entered otherwise than by the index: what is loaded late, so that a board or a start without it does not pay for it. */
const entries = {
  sdk: '|agent/(in-process|plan-on-board)[.]ts$|bus/nats/look[.]ts$',
  fleet: '|agent/in-process[.]ts$',
  bench: '|sdk/board-node[.]ts$',
  cli: '|sdk/(board-setup|open-board)[.]ts$|bus/nats/connect[.]ts$|fleet/join[.]ts$',
};
const own = Object.keys(may).concat('test');
const folderRules = Object.entries(may).map(([folder, allowed]) => ({
  name: `${folder}-imports`,
  comment: `${folder}/ may import only: ${allowed.join(', ') || 'nothing of ours'}, each by its index.ts`,
  severity: 'error',
  from: { path: `^${folder}/` },
  to: {
    path: `^(${own.join('|')})/`,
    pathNot: `^${folder}/|^(${allowed.join('|') || 'nothing'})/index[.]ts$${entries[folder] ?? ''}`,
  },
}));

module.exports = {
  forbidden: [
    ...folderRules,
    {
      name: 'no-cycles',
      comment: 'no file needs itself, be it for a type',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'boards-behind-device-url',
      comment: 'the agent reaches a board, real or mock, only where it opens the device that its URL names',
      severity: 'error',
      from: { path: '^agent/', pathNot: '^agent/boards/' },
      to: { path: '^(mock-device|linux-device)/' },
    },
    {
      name: 'koffi-only-in-linux-device',
      comment: 'native code is reached through koffi, and only where a real board is mapped',
      severity: 'error',
      from: { pathNot: '^linux-device/|^test/' },
      to: { path: 'node_modules/koffi' },
    },
    {
      name: 'not-resolvable',
      comment: 'clients of the HTTP API are installed apart',
      severity: 'error',
      from: { pathNot: '^test/clients/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/assembly/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
