import { it } from 'vitest';
import { FAMILY_FILES, isOnCoreWhenPadded, SHORT } from '../unit/quantize/padded-families.js';

it.each(FAMILY_FILES.filter((name) => !SHORT.test(name)))(
  '%s with padded rows is all on the core but routers, and has the same bits on the CPU',
  isOnCoreWhenPadded,
);
