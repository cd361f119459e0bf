#!/usr/bin/env node
/* Says so where Node is too old for the program. In syntax of 2009, which every Node can read; the program itself could not be parsed. */
var engines = require('../package.json').engines.node;
var wanted = engines.replace('>=', '').split('.');
var has = process.versions.node.split('.');
var isOld = has[0] - wanted[0] || has[1] - wanted[1];

if (isOld < 0) {
  process.stderr.write(
    'pynq-llm: Node.js ' +
      process.versions.node +
      ' is too old; it needs ' +
      wanted.join('.') +
      ' or later. Install one from https://nodejs.org, or with your version manager, and try again.\n',
  );
  process.exit(1);
}
require('./start.cjs');
