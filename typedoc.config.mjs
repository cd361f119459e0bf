/** The API reference, docs/api/: `npm run docs:api`. Anything that a public type mentions and nobody can import is an error. */
export default {
  entryPoints: ['sdk/index.ts', 'sdk/mock.ts', 'agent/public.ts'],
  out: 'docs/api',
  // No links to lines of the sources: which of them a checkout has, only a remote at GitHub could tell.
  disableSources: true,
  name: 'pynq-llm',
  readme: 'none',
  excludePrivate: true,
  // npm run typecheck has the errors.
  skipErrorChecking: true,
  treatWarningsAsErrors: true,
  validation: { notExported: true, invalidLink: true, invalidPath: true },
  // What these types are is written out; the schemas and tables that they are derived from are not for import.
  intentionallyNotExported: ['role', 'Tables', 'CHECK_GROUPS', 'CORE_TYPE_NAMES', 'FAULTS'],
};
