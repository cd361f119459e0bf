import { register } from 'node:module';

// Before the modules that it marks are loaded.
register('./mark-hooks.js', import.meta.url);
const { runTokens } = await import('./run-tokens.js');
runTokens(JSON.parse(process.argv[2]));
