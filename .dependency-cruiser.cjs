/** The import rules of docs/ARCHITECTURE.md: which folder may import which. Arrows never point back. */
const may = {
  errors: [],
  protocol: ['errors'],
  access: ['errors', 'protocol'],
  listen: ['errors', 'protocol', 'access'],
  gguf: ['errors'],
  driver: ['errors', 'gguf'],
  'mock-device': [
    'errors',
    'gguf',
    'driver/(board|board-description|owned-dma-buffer|region-allocator|registers)',
  ],
  llm: ['errors', 'gguf', 'driver'],
  agent: [
    'errors',
    'protocol',
    'access',
    'listen',
    'llm',
    'driver',
    'gguf',
    'firmware-bridge',
    'mock-device',
  ],
  'firmware-bridge': ['errors', 'driver/(registers|board|board-description|linux/index)'],
  sdk: ['errors', 'protocol', 'gguf', 'firmware-bridge', 'agent/in-process'],
  'http-api': ['errors', 'protocol', 'access', 'listen', 'sdk'],
  cli: ['errors', 'sdk', 'http-api', 'agent/index', 'bench/index'],
};
const own = Object.keys(may).concat('test', 'bench');
const folderRules = Object.entries(may).map(([folder, allowed]) => ({
  name: `${folder}-imports`,
  comment: `${folder}/ may import only: ${allowed.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: `^${folder}/` },
  to: {
    path: `^(${own.join('|')})/`,
    pathNot: `^(${[folder, ...allowed].map((a) => (a.includes('/') ? a : `${a}/`)).join('|')})`,
  },
}));

module.exports = {
  forbidden: [
    ...folderRules,
    {
      name: 'no-cycles',
      comment: 'types may refer to each other; code may not',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'mock-only-behind-device-flag',
      comment: 'the agent reaches the mock only where it opens the device named by --device mock:',
      severity: 'error',
      from: { path: '^agent/', pathNot: '^agent/open-board' },
      to: { path: '^mock-device/' },
    },
    {
      name: 'koffi-only-in-driver-linux',
      comment: 'native code is reached through koffi, and only where a real board is mapped',
      severity: 'error',
      from: { pathNot: '^driver/linux/|^test/' },
      to: { path: 'node_modules/koffi' },
    },
    {
      name: 'linux-only-behind-device-url',
      comment: 'the agent reaches a real board only where it opens the device named by --device linux:',
      severity: 'error',
      from: { path: '^(agent|llm|mock-device|driver)/', pathNot: '^(agent/open-board|driver/linux/)' },
      to: { path: '^driver/linux/' },
    },
    { name: 'not-resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
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
